"""Batches of encoded pictures, some of them bad."""

import io
import pathlib
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

tf = pytest.importorskip("tensorflow")

from tf_finetune.config import picture_options  # noqa: E402
from tf_finetune.data.images import batch_decoding, decoding  # noqa: E402

_SIZE = 20


def _picture(kind: str, seed: int = 0, **keywords) -> bytes:
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), "uint8")
    stream = io.BytesIO()
    Image.fromarray(coarse).resize((40, 30)).save(stream, kind, **keywords)
    return stream.getvalue()


def _huge_png() -> bytes:
    """Returns a PNG that claims 100,000 x 100,000 pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        sum_ = zlib.crc32(name + data)
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", sum_)
        )

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 100))
        + chunk(b"IEND", b"")
    )


def _animation() -> bytes:
    frames = [Image.new("RGB", (9, 9), color) for color in ("red", "blue")]
    stream = io.BytesIO()
    frames[0].save(stream, "webp", save_all=True, append_images=frames[1:])
    return stream.getvalue()


_BAD = {
    "empty": (b"", "empty"),
    "text": (b"Not Found", "not a JPEG, PNG, GIF, BMP or WebP picture"),
    "one byte": (b"B", "not a JPEG, PNG"),
    "half a signature": (b"\x89PNG and text", "not a JPEG, PNG"),
    "no GIF of any year": (b"GIF85a" + b"\0" * 20, "not a JPEG, PNG"),
    "a sound in RIFF": (b"RIFF\0\0\0\0WAVE", "not a JPEG, PNG"),
    "WEBP without RIFF": (b"FFIR\0\0\0\0WEBP", "not a JPEG, PNG"),
    "head of a WebP": (b"RIFF\0\0\0\0WEBP", "a damaged WebP"),
    "zeros": (b"\0" * 500, "not a JPEG, PNG"),
    "truncated JPEG": (_picture("jpeg")[:-40], "a damaged JPEG"),
    "head of a JPEG": (_picture("jpeg")[:3], "a damaged JPEG"),
    "truncated PNG": (_picture("png")[:-40], "a damaged PNG"),
    "huge PNG": (_huge_png(), "a damaged PNG, or one of an unsupported"),
    "truncated GIF": (_picture("gif")[:-60], "a damaged GIF"),
    "head of a BMP": (_picture("bmp")[:30], "a damaged BMP"),
    "animated WebP": (_animation(), "a damaged WebP, or one of an"),
}


@pytest.fixture(scope="module", params=["traced", "loaded"])
def decode(request, tmp_path_factory):
    """The function; also as a SavedModel keeps it."""
    function = tf.function(
        lambda contents: vars(
            batch_decoding.decode_batch(contents, picture_options.Square(_SIZE))
        ),
        input_signature=[tf.TensorSpec([None], tf.string)],
        autograph=False,
    )
    if request.param == "traced":
        return function
    folder = str(tmp_path_factory.mktemp("saved"))
    module = tf.Module()
    module.decode = function
    tf.saved_model.save(module, folder)
    return tf.saved_model.load(folder).decode


def _one(contents: bytes) -> np.ndarray:
    return np.asarray(
        decoding.load_bytes(contents, picture_options.Square(_SIZE))
    )


def test_good_pictures_are_decoded_as_everywhere_in_their_order(decode):
    kinds = ["jpeg", "png", "webp", "bmp", "gif"] * 4
    contents = [_picture(kind, seed) for seed, kind in enumerate(kinds)]

    found = decode(tf.constant(contents))

    assert set(found["errors"].numpy()) == {b""}
    expected = np.stack([_one(each) for each in contents])
    np.testing.assert_array_equal(found["images"], expected)


@pytest.mark.parametrize("name", _BAD)
def test_a_bad_picture_is_marked_and_its_neighbors_are_not(decode, name):
    bad, reason = _BAD[name]
    good = [_picture("jpeg", 1), _picture("png", 2)]

    found = decode(tf.constant([good[0], bad, good[1]]))

    first, marked, last = (each.decode() for each in found["errors"].numpy())
    assert (first, last) == ("", "")
    assert marked.startswith(reason)
    np.testing.assert_array_equal(found["images"][0], _one(good[0]))
    np.testing.assert_array_equal(found["images"][1], np.zeros([20, 20, 3]))
    np.testing.assert_array_equal(found["images"][2], _one(good[1]))


def test_a_batch_of_bad_ones_only_is_answered_too(decode):
    contents = [bad for bad, _ in _BAD.values()]

    found = decode(tf.constant(contents))

    assert all(found["errors"].numpy())
    assert found["images"].shape == [len(contents), _SIZE, _SIZE, 3]
    assert not np.any(found["images"])


def test_an_empty_batch_gives_an_empty_answer(decode):
    found = decode(tf.zeros([0], tf.string))

    assert found["images"].shape == [0, _SIZE, _SIZE, 3]
    assert found["errors"].shape == [0]


def test_only_stock_operations_are_used():
    function = tf.function(
        lambda contents: (
            batch_decoding.decode_batch(
                contents, picture_options.Square(_SIZE, "pad")
            ).images
        ),
        input_signature=[tf.TensorSpec([None], tf.string)],
        autograph=False,
    )
    graph = function.get_concrete_function().graph.as_graph_def()
    nodes = [*graph.node]
    for each in graph.library.function:
        nodes += each.node_def
    kinds = {node.op for node in nodes}
    assert "IgnoreErrorsDataset" in kinds
    assert not {each for each in kinds if "PyFunc" in each}


@pytest.mark.real
def test_a_truncated_file_of_a_real_picture(material, decode):
    path = next(pathlib.Path(material).glob("hymenoptera/val/bees/*.jpg"))
    contents = path.read_bytes()

    found = decode(tf.constant([contents, contents[:-2], contents]))

    marked = [bool(each) for each in found["errors"].numpy()]
    assert marked == [False, True, False]
    np.testing.assert_array_equal(found["images"][0], _one(contents))
    np.testing.assert_array_equal(found["images"][2], _one(contents))
