"""Tests of tf_finetune/tasks/segmentation/mask_signatures.py."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tf_finetune import errors
from tf_finetune.tasks.segmentation import mask_signatures, network


@pytest.fixture
def answer():
    """Two squares of 8 pixels: class 0 on the left, class 1 on the right."""
    left = np.zeros([2, 8, 8, 3], "float32")
    left[:, :, :4, 0] = left[:, :, 4:, 1] = 1
    return network.NETWORK.serve(tf.constant(left), ("sky", "road", "sign"))


def _served(name, answer, sizes):
    serve = tf.function(
        mask_signatures.SIGNATURE_FUNCTIONS[name], autograph=False
    )
    return serve(answer, tf.constant(sizes), "squash")


def test_masks_have_the_pictures_own_sizes_and_are_filled_up(answer):
    found = _served("serving_default", answer, [[2, 4], [6, 2]])
    assert set(found) == {"masks", "sizes"}
    masks = found["masks"].numpy()
    assert masks.shape == (2, 6, 4) and masks.dtype == np.int32
    np.testing.assert_array_equal(masks[0, :2], [[0, 0, 1, 1]] * 2)
    np.testing.assert_array_equal(masks[1, :, :2], [[0, 1]] * 6)
    assert (masks[0, 2:] == 255).all()
    assert (masks[1, :, 2:] == 255).all()
    np.testing.assert_array_equal(found["sizes"], [[2, 4], [6, 2]])


def test_png_masks_are_gray_class_indices_with_their_shares(answer):
    found = _served("serve_png", answer, [[2, 4], [6, 5]])
    assert set(found) == {"masks_bytes", "shares"}
    first, second = (
        Image.open(io.BytesIO(each)) for each in found["masks_bytes"].numpy()
    )
    assert (first.format, first.mode) == ("PNG", "L")
    np.testing.assert_array_equal(first, [[0, 0, 1, 1]] * 2)
    # In the middle both are equally likely: the first class is taken.
    np.testing.assert_array_equal(second, [[0, 0, 0, 1, 1]] * 6)
    np.testing.assert_allclose(
        found["shares"], [[0.5, 0.5, 0], [0.6, 0.4, 0]], rtol=1e-6
    )


def test_probabilities_have_a_signature_of_their_own(answer):
    found = _served("serve_probabilities", answer, [[2, 4], [6, 2]])
    assert set(found) == {"probabilities"}
    np.testing.assert_array_equal(
        found["probabilities"], answer["probabilities"]
    )


@pytest.mark.parametrize("name", mask_signatures.SIGNATURE_FUNCTIONS)
def test_what_else_is_served_of_a_picture_stays(name, answer):
    further = {**answer, "ood_score": tf.constant([1.0, 2.0])}
    found = _served(name, further, [[2, 4], [6, 2]])
    np.testing.assert_array_equal(found["ood_score"], [1, 2])
    assert "probabilities" not in found or name == "serve_probabilities"


def test_no_pictures_give_no_masks():
    nothing = network.NETWORK.serve(tf.zeros([0, 8, 8, 3]), ("a", "b", "c"))
    sizes = np.zeros([0, 2], "int32")
    assert _served("serving_default", nothing, sizes)["masks"].shape[0] == 0
    assert _served("serve_png", nothing, sizes)["masks_bytes"].shape == (0,)


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
    return mask_signatures.check_masks(
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
