"""Tests of tf_finetune/serving/size_limits.py."""

import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tf_finetune.serving import failures, size_limits, tensor_info


def _encoded(kind, width=10, height=20):
    stream = io.BytesIO()
    Image.new("RGB", (width, height)).save(stream, kind)
    return stream.getvalue()


def _bomb():
    """Returns a PNG that claims 60,000 x 60,000 pixels in 33 bytes."""
    head = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    checksum = struct.pack(">I", zlib.crc32(head))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + checksum


@pytest.mark.parametrize("kind", ["jpeg", "png", "gif", "bmp", "webp"])
def test_pixels_are_counted_by_the_header(kind):
    found = size_limits.measure_images([b"", _encoded(kind)], max_pixels=200)
    assert [each.pixels for each in found] == [0, 200]
    with pytest.raises(failures.RequestError, match="Picture 1 has 200") as e:
        size_limits.measure_images([b"", _encoded(kind)], max_pixels=199)
    assert e.value.status == 413


def test_a_claim_is_refused_without_the_pixels():
    with pytest.raises(failures.RequestError, match="3600000000 pixels"):
        size_limits.measure_images([_bomb()], max_pixels=50_000_000)


def test_what_is_no_picture_is_left_to_the_model():
    size_limits.measure_images(
        [b"", b"text", b"BMW", b"\x0a\x99"], max_pixels=10
    )


@pytest.mark.parametrize(
    "content", [_encoded("jpeg")[:30], b"\x89PNG\r\n\x1a\n", b"GIF89a"]
)
def test_a_picture_whose_size_cannot_be_read_is_refused(content):
    with pytest.raises(failures.RequestError, match="size of picture 1") as e:
        size_limits.measure_images([b"", content], max_pixels=10**9)
    assert e.value.status == 400


def test_an_example_of_very_many_strings_is_refused():
    example = tf.train.Example()
    example.features.feature["image"].bytes_list.value.extend([b""] * 1001)
    with pytest.raises(failures.RequestError, match="holds 1001 strings") as e:
        size_limits.measure_images([example.SerializeToString()], max_pixels=10)
    assert e.value.status == 413


def test_pictures_in_examples_are_found():
    example = tf.train.Example()
    example.features.feature["image"].bytes_list.value.append(b"abc")
    example.features.feature["x"].float_list.value.append(1.0)
    assert size_limits.extract_strings(example.SerializeToString()) == [b"abc"]
    sequence = tf.train.SequenceExample()
    lists = sequence.feature_lists.feature_list["images"]
    lists.feature.add().bytes_list.value.append(b"d")
    assert size_limits.extract_strings(sequence.SerializeToString()) == [b"d"]
    assert size_limits.extract_strings(b"\xff\xff no example") == []


def test_pictures_in_examples_count_whatever_the_input_is_called():
    example = tf.train.Example()
    example.features.feature["image"].bytes_list.value.append(_bomb())
    with pytest.raises(failures.RequestError, match="3600000000 pixels"):
        size_limits.measure_images(
            [example.SerializeToString()], max_pixels=50_000_000
        )


@pytest.mark.parametrize("signature", ["serving_default", "classify"])
def test_the_service_refuses_them(served, signature):
    content = _bomb()
    if signature == "classify":
        example = tf.train.Example()
        example.features.feature["image"].bytes_list.value.append(content)
        content = example.SerializeToString()
    name = "inputs" if signature == "classify" else "text"
    inputs = {name: np.array([content], dtype=object)}
    with pytest.raises(failures.RequestError, match="max_pixels") as error:
        served.predict(signature, inputs)
    assert error.value.status == 413


def _encoded_image(kind, width=10, height=20, **keywords):
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
        _encoded_image("jpeg"),
        _encoded_image("jpeg", progressive=True),
        _encoded_image("jpeg", comment=b"\xff\xc0 no frame"),
        _encoded_image("jpeg", exif=b"Exif\0\0" + b"\xff\xc0\x00\x11" * 10),
        _encoded_image("jpeg", mode="L"),
        _encoded_image("png"),
        _encoded_image("png", mode="P"),
        _encoded_image("gif"),
        _encoded_image("gif", mode="L"),
        _encoded_image("bmp"),
        _encoded_image("webp"),
        _encoded_image("webp", lossless=True),
        _encoded_image("webp", exif=b"Exif\0\0"),
    ],
    ids=range(13),
)
def test_width_times_height_and_the_longer_of_them(content):
    assert size_limits.measure_image(content) == size_limits.ImageSize(200, 20)


@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_frames_count_each(kind):
    size = size_limits.measure_image(_frames(kind))
    assert size == size_limits.ImageSize(600, 20)


@pytest.mark.parametrize("segment", [b"\xe0\0\x07JFIF\0", b"\xee\0\x07Adobe"])
def test_segments_that_pillow_takes_for_damage_hide_no_frame(segment):
    plain = _encoded_image("jpeg")
    content = plain[:2] + b"\xff" + segment + plain[2:]
    assert tf.io.decode_jpeg(content).shape == (20, 10, 3)
    assert size_limits.measure_image(content).pixels == 200


def test_fill_bytes_and_garbage_between_segments_hide_no_frame():
    plain = _encoded_image("jpeg")
    content = plain[:2] + b"\xff\xff\xff" + plain[3:20] + b"\x00\x01" * 9
    content += plain[20:]
    assert tf.io.decode_jpeg(content).shape == (20, 10, 3)
    assert size_limits.measure_image(content).pixels == 200


def _two_frames(stamp=b"GIF89a"):
    """Returns a GIF of 1 x 1 whose second frame is 65535 x 65535."""
    data = b"\x02\x02\x4c\x01\x00"
    first = struct.pack("<BHHHHB", 0x2C, 0, 0, 1, 1, 0)
    second = struct.pack("<BHHHHB", 0x2C, 0, 0, 65535, 65535, 0)
    head = struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    return stamp + head + first + data + second + data + b";"


@pytest.mark.parametrize("stamp", [b"GIF89a", b"GIF87a", b"GIF8xx"])
def test_a_large_second_frame_is_seen(stamp):
    size = size_limits.measure_image(_two_frames(stamp))
    assert size == size_limits.ImageSize(2 * 65535 * 65535, 65535)


def test_a_gif_that_ends_early_counts_as_far_as_it_goes():
    assert size_limits.measure_image(_frames("gif")[:-20]).pixels in (400, 600)


def test_a_bitmap_has_no_more_pixels_than_bytes():
    head = b"BM" + bytes(16) + struct.pack("<ii", 60_000, -60_000)
    content = head + struct.pack("<HHI", 1, 24, 0) + bytes(30)
    assert size_limits.measure_image(content) == size_limits.ImageSize(
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
    size = size_limits.measure_image(content)
    assert size.side <= size.pixels <= len(content)


@pytest.mark.parametrize(
    "content",
    [
        _encoded_image("jpeg")[:30],
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
    with pytest.raises(size_limits.UnknownSizeError):
        size_limits.measure_image(content)


def test_a_claim_needs_no_pixels():
    head = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    checksum = struct.pack(">I", zlib.crc32(head))
    content = b"\x89PNG\r\n\x1a\n\0\0\0\x0d" + head + checksum
    assert size_limits.measure_image(content).pixels == 3_600_000_000


_ONE = size_limits.ImageSize(12, 4)


def _info(shape, kind="int32"):
    return tensor_info.TensorInfo("x", np.dtype(kind), shape)


@pytest.mark.parametrize(
    ("shape", "kind", "rows", "pictures", "expected"),
    [
        ((None, 7), "float32", 3, _ONE, 3 * 7 * 4),
        ((None, 8, 8, 5), "float32", 2, _ONE, 2 * 8 * 8 * 5 * 4),
        ((None, None, None), "int32", 1, _ONE, 12 * 4),
        ((None, None, None), "int32", 3, size_limits.ImageSize(14, 4),
         3 * 16 * 4),
        ((None, None, None, 2), "uint8", 2, _ONE, 2 * 16 * 2),
        ((None, None), "float32", 2, size_limits.ImageSize(), 0),
        ((), "float64", 9, _ONE, 8),
        (None, "float32", 9, _ONE, 4),
        ((None,), "int8", 0, size_limits.ImageSize(), 0),
    ],
)  # fmt: skip
def test_sides_are_known_or_those_of_the_pictures(
    shape, kind, rows, pictures, expected
):
    found = size_limits.bound_bytes([_info(shape, kind)], rows, pictures)
    assert found == expected


def test_outputs_are_added_up():
    outputs = [_info((None,), "int8"), _info((None, 2), "int64")]
    assert size_limits.bound_bytes(outputs, 5, _ONE) == 5 + 80


def test_one_long_and_one_high_picture_are_filled_up_to_both():
    size = size_limits.ImageSize(2 * 50_000, 50_000)
    found = size_limits.bound_bytes([_info((None, None, None))], 2, size)
    assert found == 2 * 50_000 * 50_000 * 4


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((None, None, None), True), ((None, 3), False), ((None,), False),
     ((), False), (None, False)],
)  # fmt: skip
def test_what_has_open_sides_is_filled_up(shape, expected):
    outputs = [_info((None,)), _info(shape)]
    assert size_limits.is_padded(outputs) is expected
