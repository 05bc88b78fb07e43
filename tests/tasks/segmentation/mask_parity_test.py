"""Tests of tf_finetune/tasks/segmentation/mask_parity.py, by numpy alone."""

import io

import numpy as np
import pytest
from PIL import Image

from tf_finetune import errors
from tf_finetune.tasks.segmentation import mask_parity

_SIZES = ((6, 9), (11, 4))
_SIDE = 8


def _bilinear(values, height, width):
    """Half-pixel centers, the rim continued: [height, width, classes]."""
    for axis, count in ((0, height), (1, width)):
        places = (np.arange(count) + 0.5) * _SIDE / count - 0.5
        below = np.floor(places).astype(int)
        share = np.expand_dims(places - below, [1 - axis, 2])
        first, last = (
            values.take(np.clip(each, 0, _SIDE - 1), axis)
            for each in (below, below + 1)
        )
        values = first * (1 - share) + last * share
    return values


@pytest.fixture
def predictions():
    generator = np.random.default_rng(0)
    drawn = generator.exponential(size=[2, _SIDE, _SIDE, 3])
    return (drawn / drawn.sum(-1, keepdims=True)).astype("float32")


@pytest.fixture
def masks(predictions):
    """What has to be served, by numpy."""
    return [
        _bilinear(each.astype("float64"), *size).argmax(-1).astype("int32")
        for each, size in zip(predictions, _SIZES, strict=True)
    ]


def _answers(masks, filled=None):
    filled = masks if filled is None else filled
    sizes = np.array([each.shape for each in filled])
    whole = np.full([len(filled), *sizes.max(0)], 255, "int32")
    for row, each in zip(whole, filled, strict=True):
        row[: each.shape[0], : each.shape[1]] = each
    encoded = np.empty(len(masks), object)
    for number, each in enumerate(masks):
        stream = io.BytesIO()
        Image.fromarray(each.astype("uint8")).save(stream, "png")
        encoded[number] = stream.getvalue()
    return {
        "serving_default": {"masks": whole, "sizes": sizes},
        "serve_png": {"masks_bytes": encoded},
    }


def _check(answers, predictions, allowed=1e-5):
    return mask_parity.check_masks(
        answers,
        predictions,
        np.array(_SIZES),
        resize="squash",
        allowed=allowed,
    )


def test_masks_of_the_likeliest_classes_are_accepted(predictions, masks):
    figures = _check(_answers(masks), predictions)
    assert set(figures) == {"serving_default", "serve_png"}
    for each in figures.values():
        assert each == {"same_class": 1.0, "largest_gap": 0.0}


@pytest.mark.parametrize("way", ["serving_default", "serve_png"])
def test_one_pixel_of_another_class_is_found(predictions, masks, way):
    own = _bilinear(predictions[1].astype("float64"), *_SIZES[1])
    ahead = np.sort(own, -1)[..., -1] - np.sort(own, -1)[..., -2]
    place = np.unravel_index(ahead.argmin(), ahead.shape)
    changed = [each.copy() for each in masks]
    changed[1][place] = own[place].argsort()[-2]
    pair = (masks, changed) if way == "serving_default" else (changed, masks)
    gap = ahead[place]
    figures = _check(_answers(*pair), predictions, allowed=0.51 * gap)
    assert figures[way]["same_class"] < 1
    assert figures[way]["largest_gap"] == pytest.approx(gap, abs=1e-6)
    with pytest.raises(errors.RunError, match=rf"{way}.* other masks"):
        _check(_answers(*pair), predictions, allowed=0.49 * gap)


def test_a_mask_of_another_size_is_found(predictions, masks):
    turned = [masks[0].T, masks[1]]
    with pytest.raises(errors.RunError, match="serve_png.*9 x 6 .*6 x 9"):
        _check(_answers(turned, masks), predictions)


def test_a_value_that_is_no_class_is_found(predictions, masks):
    masks[0][0, 0] = 3
    with pytest.raises(errors.RunError, match="values up to 3"):
        _check(_answers(masks), predictions)


def test_masks_must_be_filled_up_with_what_no_class_has(predictions, masks):
    answers = _answers(masks)
    whole = answers["serving_default"]["masks"]
    whole[whole == 255] = 0
    with pytest.raises(errors.RunError, match="not filled up with 255"):
        _check(answers, predictions)
