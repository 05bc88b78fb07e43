"""Tests of tf_finetune/serving/web/request_bodies.py."""

import asyncio
import gzip

import pytest

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
