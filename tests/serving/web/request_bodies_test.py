"""Tests of tf_finetune/serving/web/request_bodies.py."""

import asyncio
import gzip
import tracemalloc
import zlib

import pytest
from starlette import datastructures

from tf_finetune.serving import failures
from tf_finetune.serving.web import request_bodies

_LEFT = {"type": "http.disconnect"}


def _messages(*blocks):
    """Returns a request's messages, the last of which ends its body."""
    return [
        {"type": "http.request", "body": block, "more_body": more}
        for block, more in zip(
            blocks, [True] * (len(blocks) - 1) + [False], strict=True
        )
    ]


def _read(messages, max_bytes=100, budget=None, coding=None):
    waiting = iter(messages)

    async def receive():
        return next(waiting)

    with request_bodies.BodyReader(
        budget or request_bodies.ByteBudget(1000), max_bytes
    ) as body:
        whole = asyncio.run(body.read(receive))
        return body.unpack(whole, coding) if coding else whole


def test_blocks_are_put_together():
    assert _read(_messages(b"abc", b"", b"de")) == b"abcde"
    assert _read(_messages(b"")) == b""


def test_a_client_that_leaves_has_no_body():
    assert _read([*_messages(b"abc", b"")[:1], _LEFT]) is None


def test_blocks_end_where_they_become_too_many():
    with pytest.raises(failures.RequestError) as error:
        _read(_messages(b"x" * 64, b"x" * 64, b""))
    assert error.value.status == 413


def test_what_a_body_held_is_given_back_however_it_ends():
    budget = request_bodies.ByteBudget(60)
    packed = gzip.compress(b"12345678", mtime=0)
    for _ in range(3):
        assert _read(_messages(b"1234", b"5678"), budget=budget) == b"12345678"
        assert (
            _read([*_messages(b"abc", b"")[:1], _LEFT], budget=budget) is None
        )
        for body in (b"x" * 61, b"x" * 101):
            with pytest.raises(failures.RequestError) as error:
                _read(_messages(body), budget=budget)
            assert error.value.status == (503 if len(body) < 100 else 413)
        assert _read(_messages(packed), budget=budget, coding="gzip") == (
            b"12345678"
        )


def _gzip(content: bytes) -> bytes:
    """Compresses without the time, so that every process names tests alike."""
    return gzip.compress(content, mtime=0)


def _headers(*fields):
    raw = [(name.lower().encode(), value.encode()) for name, value in fields]
    return datastructures.Headers(raw=raw)


def _unpack(packed, coding, max_bytes=1 << 20):
    return request_bodies.decompress(
        packed, coding, max_bytes, lambda amount: None
    )


def test_no_length_is_no_body_where_that_may_be():
    headers = _headers()
    request_bodies.check_length(headers, 10, True)
    with pytest.raises(failures.RequestError) as error:
        request_bodies.check_length(headers, 10, False)
    assert error.value.status == 411


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ((("Content-Length", "10"),), None),
        ((("Content-Length", "11"),), 413),
        ((("Content-Length", "18446744073709551615"),), 413),
        ((("Transfer-Encoding", "Chunked"),), None),
        ((("Transfer-Encoding", "gzip, chunked"),), 501),
        ((("Transfer-Encoding", "chunked"),) * 2, 501),
    ],
)
def test_a_length_is_refused_before_a_byte_of_the_body_is_read(fields, status):
    if status is None:
        request_bodies.check_length(_headers(*fields), 10, False)
        return
    with pytest.raises(failures.RequestError) as error:
        request_bodies.check_length(_headers(*fields), 10, False)
    assert error.value.status == status


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 300_000])
def test_what_was_compressed_comes_back(size):
    whole = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    assert _unpack(_gzip(whole), "gzip") == whole
    assert _unpack(_gzip(whole), "x-gzip") == whole
    assert _unpack(zlib.compress(whole), "deflate") == whole


def test_gzip_files_one_behind_the_other_are_one_body():
    assert _unpack(_gzip(b"ab") + _gzip(b"c"), "gzip") == b"abc"


@pytest.mark.parametrize(
    ("packed", "coding"),
    [
        (b"", "gzip"),
        (b"", "deflate"),
        (b"{}", "gzip"),
        (_gzip(b"abc" * 100)[:-1], "gzip"),
        (_gzip(b"abc" * 100)[:15], "gzip"),
        (_gzip(b"abc") + b"more", "gzip"),
        (_gzip(b"") * 1001, "gzip"),
        (zlib.compress(b"abc")[:-1], "deflate"),
        (zlib.compress(b"abc") + b"more", "deflate"),
        (zlib.compress(b"abc") * 2, "deflate"),
        (_gzip(b"abc")[:-8] + bytes(8), "gzip"),  # A wrong checksum.
    ],
)
def test_what_is_not_compressed_so_is_a_400(packed, coding):
    with pytest.raises(
        failures.RequestError, match="Content-Encoding"
    ) as error:
        _unpack(packed, coding)
    assert error.value.status == 400


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_no_more_than_the_limit_is_unpacked(coding):
    pack = _gzip if coding == "gzip" else zlib.compress
    bomb = pack(b" " * (1 << 28))
    tracemalloc.start()
    with pytest.raises(failures.RequestError) as error:
        _unpack(bomb, coding, max_bytes=1 << 20)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert error.value.status == 413
    assert most < 1 << 22
    assert _unpack(pack(b" " * (1 << 20)), coding) == b" " * (1 << 20)


@pytest.mark.parametrize(
    ("value", "coding"),
    [
        ("gzip", "gzip"),
        ("GZip", "gzip"),
        ("x-gzip", "x-gzip"),
        ("deflate", "deflate"),
        ("identity", None),
        ("", None),
        (" , gzip", "gzip"),
    ],
)
def test_a_coding_is_read(value, coding):
    assert (
        request_bodies.read_content_coding(
            _headers(("Content-Encoding", value))
        )
        == coding
    )
    assert request_bodies.read_content_coding(_headers()) is None


@pytest.mark.parametrize("value", ["br", "zstd", "compress", "gzip, gzip"])
def test_other_codings_are_a_415(value):
    with pytest.raises(
        failures.RequestError, match="is not supported"
    ) as error:
        request_bodies.read_content_coding(
            _headers(("Content-Encoding", value))
        )
    assert error.value.status == 415


@pytest.mark.parametrize(
    "value",
    [
        "application/json",
        "application/json; charset=utf-8",
        'application/json; charset="UTF-8"',
        "application/x-www-form-urlencoded",
        "text/plain;charset=us-ascii",
        "",
    ],
)
def test_json_in_unicode_is_read_whatever_it_is_called(value):
    request_bodies.check_media_type(_headers(("Content-Type", value)))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("multipart/form-data; boundary=x", "curl -F"),
        ("application/json; charset=iso-8859-1", "UTF-8"),
        ("application/json; charset=utf-16", "UTF-8"),
    ],
)
def test_forms_and_other_charsets_are_a_415(value, words):
    with pytest.raises(failures.RequestError, match=words) as error:
        request_bodies.check_media_type(_headers(("Content-Type", value)))
    assert error.value.status == 415
