"""Tests of tf_finetune/serving/size_limits.py."""

import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tf_finetune.serving import failures, size_limits


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
