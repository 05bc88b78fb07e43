"""Masks and pictures become square alike."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tf_finetune.config import picture_options
from tf_finetune.data.images import decoding
from tf_finetune.data.masks import mask_resize

SIZES = [(40, 60), (61, 33), (17, 17), (100, 30)]


def _squared(mask, image_size, resize):
    return mask_resize.resize_mask(
        tf.constant(mask), image_size=image_size, resize=resize
    ).numpy()


@pytest.mark.parametrize("size", SIZES)
def test_squash_is_pillows_nearest(size):
    mask = np.random.default_rng(0).integers(0, 9, size, dtype="uint8")
    expected = Image.fromarray(mask).resize((24, 24), Image.Resampling.NEAREST)
    np.testing.assert_array_equal(_squared(mask, 24, "squash"), expected)


@pytest.mark.parametrize("resize", ["squash", "crop", "pad"])
@pytest.mark.parametrize("size", SIZES)
def test_a_mask_stays_on_its_picture(resize, size):
    mask = np.zeros(size, "uint8")
    mask[size[0] // 3 :, size[1] // 2 :] = 1
    file = io.BytesIO()
    Image.fromarray(np.repeat(mask[..., None] * 200, 3, axis=-1)).save(
        file, "PNG"
    )
    image = decoding.load_bytes(
        tf.constant(file.getvalue()), picture_options.Square(32, resize)
    ).numpy()[..., 0]
    found = _squared(mask, 32, resize)
    inside = found != 255
    # What "pad" adds is black in the picture and ignored in the mask.
    assert (image[~inside] == 0).all()
    assert inside.all() or resize == "pad"
    # Pixels that are not at an edge of a region.
    sure = inside & ((image < 1) | (image > 199))
    assert sure.mean() > 0.2
    np.testing.assert_array_equal(found[sure] == 1, image[sure] > 100)


@pytest.mark.parametrize("resize", ["squash", "pad"])
@pytest.mark.parametrize("size", SIZES)
def test_answers_come_back_to_where_the_picture_was(resize, size):
    mask = np.zeros(size, "uint8")
    mask[: size[0] // 2] = 1
    mask[:, size[1] // 2 :] += 2
    seen = _squared(mask, 32, resize)
    probabilities = np.eye(256, dtype="float32")[seen][..., :4]
    restored = mask_resize.compute_class_map_on_cpu(
        probabilities, *size, resize=resize
    )
    assert restored.shape == size
    assert (restored == mask).mean() > 0.93


def test_what_crop_cuts_off_gets_the_nearest_answer():
    probabilities = np.zeros([8, 8, 2], "float32")
    probabilities[:, :4, 0] = probabilities[:, 4:, 1] = 1.0
    restored = mask_resize.compute_class_map_on_cpu(
        probabilities, 8, 20, resize="crop"
    )
    np.testing.assert_array_equal(restored, [[0] * 10 + [1] * 10] * 8)


def test_a_file_is_read_as_it_was_written(tmp_path):
    mask = np.arange(64, dtype="uint8").reshape(8, 8) * 4
    Image.fromarray(mask).save(tmp_path / "m.png")
    found = mask_resize.load_mask(
        tf.constant(str(tmp_path / "m.png")), image_size=8, resize="squash"
    )
    np.testing.assert_array_equal(found, mask)
