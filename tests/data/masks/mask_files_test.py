"""Mask files of every form that people save."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageOps

from tf_finetune.data.masks import mask_files

VALUES = np.array([[0, 1, 2], [3, 1, 0]], "uint8")


def encoded(image: Image.Image, form: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def palette(values: np.ndarray) -> Image.Image:
    image = Image.fromarray(values)
    image.putpalette([9, 9, 9, 200, 0, 0, 0, 200, 0, 0, 0, 200])
    return image


LYING = Image.Exif()
LYING[0x0112] = 6


def gray() -> Image.Image:
    return Image.fromarray(np.repeat(VALUES[..., None], 3, axis=-1))


def in_alpha() -> Image.Image:
    pixels = np.full((*VALUES.shape, 4), 7, "uint8")
    pixels[..., 3] = VALUES
    return Image.fromarray(pixels)


def few_bits_rows(values: np.ndarray, depth: int) -> np.ndarray:
    bits = np.unpackbits(values[..., None], axis=-1)[..., -depth:]
    return np.packbits(bits.reshape(len(values), -1), axis=1)


def tiff(values: np.ndarray, depth: int, *, palette: bool = False) -> bytes:
    """Returns a TIFF of less than eight bits a pixel."""
    data = few_bits_rows(values, depth).tobytes()
    short, long = 3, 4
    tags = [
        (256, short, 1, values.shape[1]),
        (257, short, 1, values.shape[0]),
        (258, short, 1, depth),
        (259, short, 1, 1),
        (262, short, 1, 3 if palette else 1),
        (273, long, 1, 8),
        (277, short, 1, 1),
        (278, short, 1, values.shape[0]),
        (279, long, 1, len(data)),
    ]
    colors = 3 * 2**depth if palette else 0
    if palette:
        behind = 8 + len(data) + 2 + 12 * (len(tags) + 1) + 4
        tags.append((320, short, colors, behind))
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    start = b"II*\0" + struct.pack("<I", 8 + len(data))
    table = np.arange(colors, dtype="<u2").tobytes()
    return start + data + directory + table


def bmp(values: np.ndarray, shade: int) -> bytes:
    """Returns a BMP of 4 bits whose palette is gray, in steps of a shade."""
    rows = few_bits_rows(values, 4)[::-1]
    data = np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4))).tobytes()
    size = values.shape[1], values.shape[0]
    head = struct.pack(
        "<IiiHHIIiiII", 40, *size, 1, 4, 0, len(data), 1, 1, 16, 0
    )
    table = b"".join(bytes([i * shade] * 3 + [0]) for i in range(16))
    begin = 14 + len(head) + len(table)
    start = b"BM" + struct.pack("<IHHI", begin + len(data), 0, 0, begin)
    return start + head + table + data


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
        encoded(gray(), "WEBP", lossless=True),
        encoded(gray(), "WEBP", lossless=True, exif=LYING),
        encoded(in_alpha()),
        encoded(in_alpha(), "WEBP", lossless=True, exact=True),
        encoded(in_alpha(), "TIFF"),
        encoded(in_alpha().convert("LA")),
        *[tiff(VALUES, depth) for depth in (2, 4)],
        *[tiff(VALUES, depth, palette=True) for depth in (2, 4)],
        *[bmp(VALUES, shade) for shade in (1, 17, 16)],
    ],
)
def test_numbers_are_those_that_were_stored(content):
    read = mask_files.read_values(content, by_color=False)
    np.testing.assert_array_equal(read, VALUES)


def test_bits_are_zero_and_one():
    content = encoded(Image.fromarray(VALUES > 0))
    np.testing.assert_array_equal(
        mask_files.read_values(content, by_color=False), VALUES > 0
    )


@pytest.mark.parametrize("depth", [2, 4])
def test_gray_of_few_bits_is_no_shade(depth, few_bits):
    content = few_bits(VALUES, depth)
    np.testing.assert_array_equal(
        mask_files.read_values(content, by_color=False), VALUES
    )


def test_sixteen_bits_keep_large_values():
    content = encoded(Image.fromarray(VALUES.astype("uint16") * 1000))
    assert mask_files.read_values(content, by_color=False).max() == 3000


def test_colors_of_pictures_and_palettes_are_the_same():
    image = palette(VALUES)
    for each in (image, image.convert("RGB"), image.convert("RGBA")):
        read = mask_files.read_values(encoded(each), by_color=True)
        assert mask_files.decode_color(int(read[0, 1])) == (200, 0, 0)
        assert read[0, 2] == mask_files.encode_color((0, 200, 0))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a picture"),
        (b"text", "not a picture"),
        (encoded(Image.fromarray(VALUES))[:50], "damaged"),
        (encoded(Image.fromarray(VALUES), "JPEG"), "JPEG"),
        (encoded(gray(), "WEBP"), "a lossy WebP"),
        (
            encoded(
                Image.merge(
                    "RGBA",
                    [
                        *palette(VALUES).convert("RGB").split(),
                        Image.fromarray(VALUES),
                    ],
                )
            ),
            "alpha channel is the mask",
        ),
        (encoded(palette(VALUES).convert("RGB")), "--color_map"),
        (encoded(Image.fromarray(VALUES * np.float32(0.5)), "TIFF"), "whole"),
    ],
)
def test_what_is_no_mask_is_refused_with_the_reason(content, words):
    with pytest.raises(mask_files.UnreadableMaskError, match=words):
        mask_files.read_values(content, by_color=False)


def test_a_mask_in_alpha_has_no_colors():
    with pytest.raises(
        mask_files.UnreadableMaskError, match="without --color_map"
    ):
        mask_files.read_values(encoded(in_alpha()), by_color=True)


def test_a_file_tells_what_its_alpha_is_for():
    opaque = gray().convert("RGBA")
    empty = Image.new("RGBA", (3, 2), (0, 0, 0, 255))
    uses = [
        mask_files.detect_alpha_use(encoded(each))
        for each in (gray(), opaque, in_alpha(), empty)
    ]
    assert uses == ["none", "none", "mask", "opaque"]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_a_mask_is_turned_as_pillow_turns_pictures(form, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(gray(), form, exif=exif, lossless=True)
    assert mask_files.read_orientation(content) == orientation
    read = mask_files.read_values(
        content, by_color=False, orientation=orientation
    )
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    np.testing.assert_array_equal(read, np.asarray(expected)[..., 0])


def test_a_tiff_is_turned_as_its_tag_says():
    content = encoded(Image.fromarray(VALUES), "TIFF", exif=LYING)
    assert mask_files.read_orientation(content) == 1
    read = mask_files.read_values(content, by_color=False)
    np.testing.assert_array_equal(read, np.rot90(VALUES, -1))


def test_numbers_below_0_are_refused_and_can_be_shifted():
    values = VALUES.astype("int32") - 1
    with pytest.raises(
        mask_files.UnreadableMaskError, match="holds -1.*add 1 to"
    ):
        mask_files.read_values(
            encoded(Image.fromarray(values), "TIFF"), by_color=False
        )
    shifted = encoded(Image.fromarray(values + 1), "TIFF")
    assert (mask_files.read_values(shifted, by_color=False) == VALUES).all()
