"""Pictures without labels beside a run's own."""

import pathlib
import shutil

import numpy as np
import pytest
import sample_pictures
from PIL import Image

from tf_finetune import errors, files
from tf_finetune.data import examples, unlabeled_files


def _picture(path: pathlib.Path, value: int) -> str:
    Image.fromarray(np.full([9, 9, 3], value, "uint8")).save(path)
    return str(path)


def _own(path: str, split: str) -> examples.Picture:
    return sample_pictures.make_picture(
        path, "a", files.sha256(pathlib.Path(path)), split, side=9
    )


@pytest.fixture
def found(tmp_path):
    paths = [_picture(tmp_path / f"{i}.png", i) for i in range(5)]
    (tmp_path / "again.png").write_bytes((tmp_path / "4.png").read_bytes())
    (tmp_path / "note.txt").write_text("no picture")
    elsewhere = shutil.copy(paths[0], tmp_path / "held_out.png")
    own = [
        _own(str(elsewhere), "test"),
        _own(paths[1], "validation"),
        _own(paths[2], "train"),
    ]
    wanted = [*paths, str(tmp_path / "again.png"), str(tmp_path / "note.txt")]
    return unlabeled_files.collect_pool(wanted, own, max_pixels=1000)


def test_what_is_in_the_own_data_by_content_is_removed_and_counted(found):
    assert found.known == {"train": 1, "validation": 1, "test": 1}
    names = [pathlib.Path(each.path).name for each in found.pictures]
    assert names == ["3.png", "4.png"]
    assert found.repeated == 1


def test_what_is_no_picture_is_dropped_with_its_reason(found):
    (dropped,) = found.dropped
    assert dropped.path.endswith("note.txt")
    assert "not an image" in dropped.reason
    assert "1 already in test" in found.text()
    assert "note.txt" in found.text()
    assert found.describe()["used"] == 2


def test_what_does_not_decode_is_dropped_too(found):
    path = found.pictures[0].path
    fewer = found.without({path: "does not decode: a damaged PNG"})
    assert [each.path for each in fewer.dropped][-1] == path
    assert len(fewer.pictures) == 1


def test_a_place_without_files_is_told_before_any_is_listed(tmp_path):
    (tmp_path / "a.png").write_text("")
    (tmp_path / "bare" / "b").mkdir(parents=True)
    for place in ("", "a.png", "*.png", "**/*.png"):
        unlabeled_files.check_existence(str(tmp_path / place), flag="data")
    for place in ("b.png", "*.jpg", "b/**/*.png", "bare"):
        with pytest.raises(errors.DataError, match="No file at --data=.*b|jpg"):
            unlabeled_files.check_existence(str(tmp_path / place), flag="data")
