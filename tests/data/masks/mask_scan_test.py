import pathlib

import numpy as np
from PIL import Image

from tf_finetune.data.masks import mask_files, mask_scan


def _scan(paths, cache_dir, by_color=False):
    return mask_scan.scan_masks(
        [str(path) for path in paths], cache_dir=cache_dir, by_color=by_color
    )


def _mask(path: pathlib.Path, values) -> pathlib.Path:
    Image.fromarray(np.asarray(values, "uint8")).save(path)
    return path


def test_pixels_are_counted_by_value(tmp_path):
    path = _mask(tmp_path / "a.png", [[0, 0, 7], [7, 7, 1]])
    (found,) = _scan([path], tmp_path / "cache")
    assert (found.width, found.height) == (3, 2)
    assert found.pixels == {0: 2, 1: 1, 7: 3}
    assert found.problem == ""


def test_what_is_known_by_content_is_not_decoded_again(tmp_path, monkeypatch):
    path = _mask(tmp_path / "a.png", [[0, 1]])
    bad = tmp_path / "b.png"
    bad.write_bytes(b"no mask")
    before = _scan([path, bad], tmp_path / "cache")
    monkeypatch.setattr(mask_files, "read_values", None)
    copy = tmp_path / "copy.png"
    copy.write_bytes(path.read_bytes())
    after = _scan([path, bad, copy], tmp_path / "cache")
    assert after == [*before, before[0]]


def test_numbers_and_colors_of_one_file_are_kept_apart(tmp_path):
    path = _mask(tmp_path / "a.png", [[1, 2]])
    numbers = _scan([path], tmp_path / "cache")
    colors = _scan([path], tmp_path / "cache", by_color=True)
    assert numbers[0].pixels == {1: 1, 2: 1}
    assert colors[0].pixels == {0x010101: 1, 0x020202: 1}


def test_problems_are_said_and_nothing_is_raised(tmp_path):
    photograph = np.arange(500, dtype="uint16")[None] * 3
    Image.fromarray(photograph).save(tmp_path / "photo.png")
    found = _scan(
        [tmp_path / "missing.png", tmp_path / "photo.png"], tmp_path / "cache"
    )
    assert "cannot be read" in found[0].problem
    assert "500 different values" in found[1].problem


def test_a_damaged_cache_costs_time_only(tmp_path):
    path = _mask(tmp_path / "a.png", [[0, 1]])
    before = _scan([path], tmp_path / "cache")
    for file in (tmp_path / "cache" / "verdicts").iterdir():
        file.write_text("{")
    assert _scan([path], tmp_path / "cache") == before
