import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from tf_finetune.data.images import decoding, orientation

_of = tf.function(
    orientation.read_orientation, input_signature=[tf.TensorSpec((), tf.string)]
)
_decode = tf.function(
    decoding.decode, input_signature=[tf.TensorSpec((), tf.string)]
)
LETTER_F = Image.fromarray(
    np.kron(
        np.array([[1, 1, 1], [1, 0, 0], [1, 1, 0], [1, 0, 0]]), np.ones((8, 8))
    ).astype(np.uint8)
    * 200
).convert("RGB")
OPTIONS = {
    "JPEG": {"quality": 95},
    "PNG": {},
    "WEBP": {"lossless": True},
}


def tiff(value: int, order: str = "<", *, tag=0x0112, kind=3, count=1) -> bytes:
    """The smallest EXIF block: a maker's name before the orientation."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return (
        mark
        + struct.pack(order + "IH", 8, 2)
        + struct.pack(order + "HHI4s", 0x010F, 2, 4, b"abc\0")
        + struct.pack(order + "HHIHH", tag, kind, count, value, 0)
        + struct.pack(order + "I", 0)
    )


def encoded(form: str, **options) -> bytes:
    file = io.BytesIO()
    LETTER_F.save(file, form, **OPTIONS[form], **options)
    return file.getvalue()


def jpeg_with(*segments: bytes) -> bytes:
    plain = encoded("JPEG")
    return plain[:2] + b"".join(segments) + plain[2:]


def segment(content: bytes, marker: int = 0xE1) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def png_with(content: bytes, *, before_end: bool = False) -> bytes:
    chunk = (
        struct.pack(">I", len(content))
        + b"eXIf"
        + content
        + struct.pack(">I", zlib.crc32(b"eXIf" + content))
    )
    plain = encoded("PNG")
    place = len(plain) - 12 if before_end else 33
    return plain[:place] + chunk + plain[place:]


@pytest.mark.parametrize("form", OPTIONS)
@pytest.mark.parametrize("value", range(1, 9))
def test_every_orientation_comes_out_as_pillow_turns_it(form, value):
    exif = Image.Exif()
    exif[0x0112] = value
    exif[0x010F] = "maker"
    contents = encoded(form, exif=exif)
    assert int(_of(contents)) == value
    turned = ImageOps.exif_transpose(Image.open(io.BytesIO(contents)))
    pixels = _decode(contents).numpy().astype(int)
    assert pixels.shape == (turned.height, turned.width, 3)
    assert abs(pixels - np.asarray(turned.convert("RGB"))).max() <= 4


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("value", [1, 3, 6, 8])
def test_both_byte_orders_are_read(order, value):
    exif = tiff(value, order)
    assert int(_of(jpeg_with(segment(b"Exif\0\0" + exif)))) == value
    assert int(_of(png_with(exif))) == value


def test_it_is_found_behind_other_segments_and_filler():
    contents = jpeg_with(
        segment(b"http://ns.adobe.com/xap/1.0/\0 Exif\0\0 is only mentioned"),
        segment(bytes(60_000), 0xE2),
        b"\xff\xff\xff" + segment(b"Exif\0\0" + tiff(6)),
    )
    assert int(_of(contents)) == 6


def test_it_is_found_behind_the_pixels_of_a_png():
    assert int(_of(png_with(tiff(8), before_end=True))) == 8


def test_no_letters_in_the_pixels_of_a_jpeg_count():
    contents = encoded("JPEG") + segment(b"Exif\0\0" + tiff(6))
    assert int(_of(contents)) == 1


@pytest.mark.parametrize("form", OPTIONS)
def test_without_exif_a_picture_is_upright(form):
    assert int(_of(encoded(form))) == 1


MALFORMED = {
    "value 0": tiff(0),
    "value 9": tiff(9),
    "another tag": tiff(6, tag=0x0113),
    "a fraction": tiff(6, kind=5),
    "two values": tiff(6, count=2),
    "unknown byte order": b"XX" + tiff(6)[2:],
    "a directory beyond the end": b"II*\0\xff\xff\xff\xff" + tiff(6)[8:],
    "a directory that is cut off": tiff(6)[:20],
    "65535 entries and none there": b"II*\0\x08\0\0\0\xff\xff",
    "a header alone": b"MM\0*",
    "nothing": b"",
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_malformed_exif_means_upright(kind):
    exif = MALFORMED[kind]
    for contents in (
        jpeg_with(segment(b"Exif\0\0" + exif)),
        png_with(exif),
        b"RIFF\0\0\0\0WEBPEXIF" + struct.pack("<I", len(exif)) + exif,
    ):
        assert int(_of(contents)) == 1


@pytest.mark.parametrize(
    "contents",
    [
        b"",
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xe0\0\0Exif\0\0",  # A segment of length 0.
        b"\xff\xd8" + b"\xff" * 100 + b"Exif\0\0",
        b"\x89PNG\r\n\x1a\n" + b"\xff\xff\xff\xffeXIf",
        b"\x89PNG\r\n\x1a\n" + bytes(12) * 20_000 + b"eXIf",
        b"RIFF\0\0\0\0WEBP" + bytes(8) * 20_000 + b"EXIF",
        b"RIFF\0\0\0\0WEBPEXIF\xff\xff\xff\xff",
    ],
)
def test_nonsense_ends_and_means_upright(contents):
    assert int(_of(contents)) == 1


def test_random_damage_to_exif_is_never_an_error():
    random = np.random.default_rng(0)
    start = jpeg_with(segment(b"Exif\0\0" + tiff(6)))
    for _ in range(200):
        damaged = bytearray(start)
        for place in random.integers(2, 60, 3):
            damaged[place] = random.integers(256)
        assert 1 <= int(_of(bytes(damaged))) <= 8
