import pathlib

import numpy as np
import pytest
from PIL import Image

from tf_finetune import errors
from tf_finetune.data import examples
from tf_finetune.data.masks import mask_preparation, mask_scan, mask_values

SCHEME = mask_values.map_numbers(("a", "void", "c"), "void", {0, 1, 2})


def picture(folder: pathlib.Path, values, *, size=None, **options):
    """A picture of the mask's size (or `size`), and the mask."""
    values = np.asarray(values, "uint8")
    width, height = size or values.shape[::-1]
    path, mask = folder / "p.jpg", folder / "m.png"
    Image.new("RGB", (width, height)).save(path, **options)
    Image.fromarray(values).save(mask)
    return examples.Picture(
        path=str(path),
        label=examples.Mask(path=str(mask)),
        sha256="0",
        width=width,
        height=height,
    )


def prepared(each, cache_dir, scheme=SCHEME):
    found = mask_scan.scan_masks(
        [each.label.path], cache_dir=cache_dir, by_color=False
    )
    (result,) = mask_preparation.prepare_masks(
        [each], found, scheme, cache_dir=cache_dir
    )
    return result.label


def test_masks_are_written_as_indices_with_255_ignored(tmp_path):
    each = picture(tmp_path, [[0, 1, 2], [2, 2, 1]])
    label = prepared(each, tmp_path / "cache")
    np.testing.assert_array_equal(
        mask_preparation.read_indices(label.indices), [[0, 255, 1], [1, 1, 255]]
    )
    assert label.pixels == (1, 3, 2)
    assert label.names == ("a", "c")
    with Image.open(label.indices) as image:
        assert image.mode == "L"


def test_nothing_is_written_twice(tmp_path, monkeypatch):
    each = picture(tmp_path, [[0, 1], [2, 2]])
    first = prepared(each, tmp_path / "cache")
    monkeypatch.setattr(mask_preparation, "_write_mask", None)
    assert prepared(each, tmp_path / "cache") == first


def test_another_size_is_an_error_with_both_sizes(tmp_path):
    each = picture(tmp_path, [[0, 1, 2]], size=(4, 2))
    with pytest.raises(
        errors.DataError,
        match=r"m\.png is 3 x 1, its picture .*p\.jpg is 4 x 2",
    ):
        prepared(each, tmp_path / "cache")


def _turned():
    tag = Image.Exif()
    tag[0x0112] = 6
    return tag


def test_a_mask_belongs_to_the_upright_picture(tmp_path):
    upright = picture(tmp_path, [[0], [1], [2]], size=(3, 1), exif=_turned())
    assert prepared(upright, tmp_path / "cache").pixels == (1, 1, 1)
    other = picture(tmp_path, [[0, 1]], size=(3, 1), exif=_turned())
    with pytest.raises(errors.DataError, match="1 x 3 after it is turned"):
        prepared(other, tmp_path / "cache")


STORED = np.array([[0, 1, 2], [2, 2, 0]], "uint8")
# As orientation 6 is meant: turned clockwise; "void" is ignored, c is 1.
UPRIGHT = np.array([[1, 0], [1, 255], [0, 1]])


@pytest.mark.parametrize(
    ("picture_lies", "mask_lies", "stored", "expected"),
    [
        (True, True, STORED, UPRIGHT),
        (True, False, STORED, UPRIGHT),
        (True, False, np.rot90(STORED, -1), UPRIGHT),
        (True, True, np.rot90(STORED, -1), UPRIGHT),
        (False, True, np.rot90(STORED, 1), np.rot90(UPRIGHT, 1)),
        (False, True, STORED, np.rot90(UPRIGHT, 1)),
    ],
)
def test_tags_of_one_or_both_turn_a_mask_onto_its_picture(
    picture_lies, mask_lies, stored, expected, tmp_path
):
    options = {"exif": _turned()} if picture_lies else {}
    each = picture(tmp_path, STORED, **options)
    tag = {"exif": _turned()} if mask_lies else {}
    Image.fromarray(np.ascontiguousarray(stored)).save(each.label.path, **tag)
    label = prepared(each, tmp_path / "cache")
    np.testing.assert_array_equal(
        mask_preparation.read_indices(label.indices), expected
    )


def test_a_square_mask_turns_with_its_tag_and_is_unclear_without(
    tmp_path, caplog
):
    square = np.array([[0, 1], [2, 2]], "uint8")
    each = picture(tmp_path, square, exif=_turned())
    label = prepared(each, tmp_path / "cache")
    np.testing.assert_array_equal(
        mask_preparation.read_indices(label.indices), [[0, 255], [1, 1]]
    )
    (line,) = [m for m in caplog.messages if "EXIF" in m]
    assert "1 mask has no EXIF orientation tag" in line
    caplog.clear()
    Image.fromarray(square).save(each.label.path, exif=_turned())
    label = prepared(each, tmp_path / "cache")
    np.testing.assert_array_equal(
        mask_preparation.read_indices(label.indices), [[1, 0], [1, 255]]
    )
    assert not caplog.messages


def test_a_value_that_is_no_class_is_named_with_its_file(tmp_path):
    each = picture(tmp_path, [[0, 9, 9]])
    with pytest.raises(
        errors.DataError, match=r"m\.png: 9 in 2 pixels \(possible: 0, 1, 2\)"
    ):
        prepared(each, tmp_path / "cache")


def test_an_unreadable_mask_is_named(tmp_path):
    each = picture(tmp_path, [[0, 1]])
    pathlib.Path(each.label.path).write_bytes(b"no mask")
    with pytest.raises(errors.DataError, match=r"m\.png: it is not a picture"):
        prepared(each, tmp_path / "cache")
