"""Tests of tf_finetune/serving/image_sizes.py, on files of Pillow's."""

import io
import struct
import zlib

import pytest
import tensorflow as tf
from PIL import Image

from tf_finetune.serving import image_sizes


def _encoded(kind, width=10, height=20, **keywords):
    stream = io.BytesIO()
    mode = keywords.pop("mode", "RGB")
    Image.new(mode, (width, height)).save(stream, kind, **keywords)
    return stream.getvalue()


def _frames(kind):
    """Returns an animation of three pictures of 10 x 20."""
    stream = io.BytesIO()
    colors = [Image.new("RGB", (10, 20), c) for c in ("red", "blue", "lime")]
    colors[0].save(stream, kind, save_all=True, append_images=colors[1:])
    return stream.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        _encoded("jpeg"),
        _encoded("jpeg", progressive=True),
        _encoded("jpeg", comment=b"\xff\xc0 no frame"),
        _encoded("jpeg", exif=b"Exif\0\0" + b"\xff\xc0\x00\x11" * 10),
        _encoded("jpeg", mode="L"),
        _encoded("png"),
        _encoded("png", mode="P"),
        _encoded("gif"),
        _encoded("gif", mode="L"),
        _encoded("bmp"),
        _encoded("webp"),
        _encoded("webp", lossless=True),
        _encoded("webp", exif=b"Exif\0\0"),
    ],
    ids=range(13),
)
def test_width_times_height_and_the_longer_of_them(content):
    assert image_sizes.measure_image(content) == image_sizes.ImageSize(200, 20)


@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_frames_count_each(kind):
    size = image_sizes.measure_image(_frames(kind))
    assert size == image_sizes.ImageSize(600, 20)


@pytest.mark.parametrize("segment", [b"\xe0\0\x07JFIF\0", b"\xee\0\x07Adobe"])
def test_segments_that_pillow_takes_for_damage_hide_no_frame(segment):
    plain = _encoded("jpeg")
    content = plain[:2] + b"\xff" + segment + plain[2:]
    assert tf.io.decode_jpeg(content).shape == (20, 10, 3)
    assert image_sizes.measure_image(content).pixels == 200


def test_fill_bytes_and_garbage_between_segments_hide_no_frame():
    plain = _encoded("jpeg")
    content = plain[:2] + b"\xff\xff\xff" + plain[3:20] + b"\x00\x01" * 9
    content += plain[20:]
    assert tf.io.decode_jpeg(content).shape == (20, 10, 3)
    assert image_sizes.measure_image(content).pixels == 200


def _two_frames(stamp=b"GIF89a"):
    """Returns a GIF of 1 x 1 whose second frame is 65535 x 65535."""
    data = b"\x02\x02\x4c\x01\x00"
    first = struct.pack("<BHHHHB", 0x2C, 0, 0, 1, 1, 0)
    second = struct.pack("<BHHHHB", 0x2C, 0, 0, 65535, 65535, 0)
    head = struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    return stamp + head + first + data + second + data + b";"


@pytest.mark.parametrize("stamp", [b"GIF89a", b"GIF87a", b"GIF8xx"])
def test_a_large_second_frame_is_seen(stamp):
    size = image_sizes.measure_image(_two_frames(stamp))
    assert size == image_sizes.ImageSize(2 * 65535 * 65535, 65535)


def test_a_gif_that_ends_early_counts_as_far_as_it_goes():
    assert image_sizes.measure_image(_frames("gif")[:-20]).pixels in (400, 600)


def test_a_bitmap_has_no_more_pixels_than_bytes():
    head = b"BM" + bytes(16) + struct.pack("<ii", 60_000, -60_000)
    content = head + struct.pack("<HHI", 1, 24, 0) + bytes(30)
    assert image_sizes.measure_image(content) == image_sizes.ImageSize(
        len(content)
    )
    with pytest.raises(tf.errors.InvalidArgumentError):
        tf.io.decode_bmp(content)


@pytest.mark.parametrize(
    "content",
    [b"", b"text", b"BM", b"BMW", b"BM and more of a text that is long",
     b"RIFF1234WAVEfmt ", b"\x00" * 100],
)  # fmt: skip
def test_what_is_no_picture_has_hardly_a_pixel(content):
    size = image_sizes.measure_image(content)
    assert size.side <= size.pixels <= len(content)


@pytest.mark.parametrize(
    "content",
    [
        _encoded("jpeg")[:30],
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xff\xff",
        b"\xff\xd8\xff\xd9",
        b"\xff\xd8\xff\xc0\x00\x11\x08\x00",
        b"\x89PNG\r\n\x1a\n",
        b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0",
        b"\x89PNG\r\n\x1a\n\0\0\0\x0dJUNK" + b"\0" * 20,
        b"GIF89a",
        _two_frames()[:19],
        b"GIF89a" + b"\x01" * 50,
        b"RIFF1234WEBPVP8X",
        b"RIFF1234WEBPVP8 1234",
        b"RIFF1234WEBPJUNK" + b"\0" * 40,
    ],
    ids=range(14),
)
def test_a_picture_without_a_size_is_an_error(content):
    with pytest.raises(image_sizes.UnknownSizeError):
        image_sizes.measure_image(content)


def test_a_claim_needs_no_pixels():
    head = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    checksum = struct.pack(">I", zlib.crc32(head))
    content = b"\x89PNG\r\n\x1a\n\0\0\0\x0d" + head + checksum
    assert image_sizes.measure_image(content).pixels == 3_600_000_000
