"""Tests of tf_finetune/tasks/segmentation/mask_signatures.py."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

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
