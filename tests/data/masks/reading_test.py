"""Mask files of every form that people save."""

import io

import numpy as np
import pytest
from PIL import Image

from tf_finetune.data.masks import reading

VALUES = np.array([[0, 1, 2], [3, 1, 0]], "uint8")


def encoded(image: Image.Image, form: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def palette(values: np.ndarray) -> Image.Image:
    image = Image.fromarray(values)
    image.putpalette([9, 9, 9, 200, 0, 0, 0, 200, 0, 0, 0, 200])
    return image


@pytest.mark.parametrize(
    "content",
    [
        encoded(Image.fromarray(VALUES)),
        encoded(palette(VALUES)),
        encoded(palette(VALUES), bits=2),
        encoded(Image.fromarray(VALUES.astype("uint16"))),
        encoded(Image.fromarray(np.repeat(VALUES[..., None], 3, axis=-1))),
        encoded(Image.fromarray(VALUES).convert("LA")),
        encoded(Image.fromarray(VALUES), "BMP"),
        encoded(Image.fromarray(VALUES), "TIFF"),
        encoded(palette(VALUES), "GIF"),
    ],
)
def test_numbers_are_those_that_were_stored(content):
    read = reading.read(content, by_color=False)
    np.testing.assert_array_equal(read, VALUES)


def test_bits_are_zero_and_one():
    content = encoded(Image.fromarray(VALUES > 0))
    np.testing.assert_array_equal(
        reading.read(content, by_color=False), VALUES > 0
    )


@pytest.mark.parametrize("depth", [2, 4])
def test_grey_of_few_bits_is_no_shade(depth, few_bits):
    content = few_bits(VALUES, depth)
    np.testing.assert_array_equal(reading.read(content, by_color=False), VALUES)


def test_sixteen_bits_keep_large_values():
    content = encoded(Image.fromarray(VALUES.astype("uint16") * 1000))
    assert reading.read(content, by_color=False).max() == 3000


def test_colours_of_pictures_and_palettes_are_the_same():
    image = palette(VALUES)
    for each in (image, image.convert("RGB"), image.convert("RGBA")):
        read = reading.read(encoded(each), by_color=True)
        assert reading.color_of(int(read[0, 1])) == (200, 0, 0)
        assert read[0, 2] == reading.code_of((0, 200, 0))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no picture"),
        (b"text", "no picture"),
        (encoded(Image.fromarray(VALUES))[:50], "damaged"),
        (encoded(Image.fromarray(VALUES), "JPEG"), "JPEG"),
        (encoded(palette(VALUES).convert("RGB")), "--color_map"),
        (encoded(Image.fromarray(VALUES * np.float32(0.5)), "TIFF"), "whole"),
    ],
)
def test_what_is_no_mask_is_refused_with_the_reason(content, words):
    with pytest.raises(reading.Unreadable, match=words):
        reading.read(content, by_color=False)
