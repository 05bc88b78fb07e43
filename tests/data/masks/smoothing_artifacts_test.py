"""Values that smoothing left are told from classes."""

import io

import numpy as np
import pytest
from PIL import Image

from tf_finetune import errors
from tf_finetune.data.masks import mask_files, mask_scan, smoothing_artifacts

_SIDE = 48


def _disc(number: int) -> np.ndarray:
    """A disc, bool [48, 48], elsewhere for each number."""
    random = np.random.default_rng(number)
    row, column = random.uniform(16, 32, 2)
    rows, columns = np.mgrid[:_SIDE, :_SIDE]
    return (rows - row) ** 2 + (columns - column) ** 2 < 12**2


def _painted(number: int, *values: int) -> np.ndarray:
    """A mask of a background, a disc and a bar of values, uint8."""
    mask = np.full((_SIDE, _SIDE), values[0], "uint8")
    mask[_disc(number)] = values[1]
    if len(values) > 2:
        mask[:8] = values[2]
    return mask


def _scaled(mask, resampling, side):
    image = Image.fromarray(mask)
    return np.asarray(image.resize((side, side), resampling))


def _halved(mask):
    bilinear = Image.Resampling.BILINEAR
    return _scaled(_scaled(mask, bilinear, _SIDE // 2), bilinear, _SIDE)


def _enlarged(mask):
    return _scaled(mask, Image.Resampling.BICUBIC, 2 * _SIDE)


def _shrunk(mask):
    return _scaled(mask, Image.Resampling.BOX, _SIDE // 2)


def _jpeg(mask):
    file = io.BytesIO()
    Image.fromarray(mask).save(file, "JPEG", quality=85)
    return np.asarray(Image.open(file))


def _scans(masks, by_color=False):
    found = []
    for mask in masks:
        values = mask.astype("int32")
        if by_color:
            values = values[..., 0] << 16 | values[..., 1] << 8 | values[..., 2]
        distinct, counts = np.unique(values, return_counts=True)
        pixels = dict(zip(distinct.tolist(), counts.tolist(), strict=True))
        smoothed = smoothing_artifacts.count_smoothed(values, by_color=by_color)
        found.append(mask_scan.MaskScan(pixels=pixels, smoothed=smoothed))
    return found


@pytest.mark.parametrize("change", [_halved, _enlarged, _shrunk, _jpeg])
@pytest.mark.parametrize("values", [(0, 100), (0, 255), (0, 128, 255)])
def test_smoothed_masks_are_told_and_the_advice_can_be_followed(change, values):
    sound = [_painted(number, *values) for number in range(8)]
    smoothing_artifacts.check_not_smoothed(_scans(sound), by_color=False)
    masks = [change(each) for each in sound]
    with pytest.raises(errors.DataError, match="were the masks smoothed") as e:
        smoothing_artifacts.check_not_smoothed(_scans(masks), by_color=False)
    listed = str(e.value).partition("cover areas are ")[2].partition(".")[0]
    areas = [int(each) for each in listed.split(", ") if each.isdecimal()]
    assert {*values} == {*areas}
    # What the message says: every pixel becomes the nearest of these values.
    right = np.array(areas)
    nearest = [
        right[np.abs(each[..., None] - right.astype(int)).argmin(-1)]
        for each in masks
    ]
    smoothing_artifacts.check_not_smoothed(_scans(nearest), by_color=False)


@pytest.mark.parametrize("change", [_halved, _enlarged, _jpeg])
def test_smoothed_colors_are_told(change):
    colors = np.array([[0, 0, 0], [255, 0, 0], [0, 128, 0]], "uint8")
    sound = [colors[_painted(number, 0, 1, 2)] for number in range(6)]
    smoothing_artifacts.check_not_smoothed(
        _scans(sound, by_color=True), by_color=True
    )
    masks = [change(each) for each in sound]
    with pytest.raises(
        errors.DataError, match="smoothed.*The colors that cover"
    ):
        smoothing_artifacts.check_not_smoothed(
            _scans(masks, by_color=True), by_color=True
        )


def _thin(number):
    """Classes in lines and points: contours, diagonals, scattered marks."""
    mask = _painted(number, 0, 2)
    inner = _disc(number)
    shifted = np.roll(inner, 1, 0) & np.roll(inner, 1, 1)
    mask[inner & ~shifted] = 1
    np.fill_diagonal(mask, 3)
    mask[5::9, 5::9] = 4
    return mask


def _rare(number):
    """Twenty classes, of which eighteen have a dozen pixels each."""
    mask = _painted(number, 0, 1)
    for k in range(18):
        row, column = divmod(k, 9)
        place = np.s_[3 * row : 3 * row + 3, 5 * column : 5 * column + 4]
        mask[place] = 2 + k
    return mask


@pytest.mark.parametrize("make", [_thin, _rare])
def test_thin_and_rare_classes_are_classes(make):
    smoothing_artifacts.check_not_smoothed(
        _scans([make(n) for n in range(6)]), by_color=False
    )


def test_scaling_with_nearest_neighbor_is_sound():
    nearest = Image.Resampling.NEAREST
    masks = [_scaled(_painted(n, 0, 90, 200), nearest, 31) for n in range(6)]
    smoothing_artifacts.check_not_smoothed(_scans(masks), by_color=False)


def test_pixels_between_their_neighbors_are_counted():
    values = np.array([[0, 0, 5, 9, 9]] * 3, "int32")
    assert smoothing_artifacts.count_smoothed(values, by_color=False) == {5: 3}
    colors = np.array([[mask_files.encode_color((v, 0, v)) for v in (0, 5, 9)]])
    assert smoothing_artifacts.count_smoothed(colors, by_color=True) == {
        colors[0, 1]: 1
    }
