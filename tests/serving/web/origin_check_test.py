"""Tests of tf_finetune/serving/web/limits.py."""

import pytest
from starlette import datastructures

from tf_finetune.serving import failures
from tf_finetune.serving.web import limits

_HERE = limits.list_expected_hosts("127.0.0.1", "127.0.0.1")


def _check(hosts, *fields, version="1.0"):
    raw = [(name.lower().encode(), value.encode()) for name, value in fields]
    limits.check_origin(datastructures.Headers(raw=raw), hosts, version)


@pytest.mark.parametrize(
    ("asked", "bound", "expected"),
    [
        ("127.0.0.1", "127.0.0.1", {"localhost", "127.0.0.1", "::1"}),
        ("::1", "::1", {"localhost", "127.0.0.1", "::1"}),
        (
            "My.Name", "127.0.0.2",
            {"localhost", "127.0.0.1", "::1", "my.name", "127.0.0.2"},
        ),
        ("0.0.0.0", "0.0.0.0", None),
        ("::", "::", None),
        ("10.1.2.3", "10.1.2.3", None),
        ("fe80::1%eth0", "fe80::1%eth0", None),
    ],
)  # fmt: skip
def test_names_are_known_where_this_machine_alone_may_ask(
    asked, bound, expected
):
    assert limits.list_expected_hosts(asked, bound) == expected


@pytest.mark.parametrize(
    "fields",
    [
        (),
        (("Host", "localhost"),),
        (("Host", "LOCALHOST:8501"),),
        (("Host", "127.0.0.1:9999"),),
        (("Host", "[::1]:8501"),),
        (("Host", "localhost:8501"), ("Origin", "http://localhost:8501")),
        (("Host", "127.0.0.1:1"), ("Origin", "https://127.0.0.1:1")),
    ],
)
def test_programs_and_the_own_page_pass(fields):
    _check(_HERE, *fields)


@pytest.mark.parametrize(
    "fields",
    [
        (("Host", "rebound.example"),),
        (("Host", "rebound.example:8501"),),
        (("Host", "localhost.example"),),
        (("Host", "127.0.0.1.example"),),
        (("Host", ""),),
        (("Host", "localhost:1"), ("Origin", "http://evil.example")),
        (("Host", "localhost:1"), ("Origin", "http://localhost:2")),
        (("Host", "localhost:1"), ("Origin", "http://localhost")),
        (("Host", "localhost:1"), ("Origin", "null")),
        (
            ("Host", "localhost:1"),
            ("Origin", "http://localhost:1"), ("Origin", "http://a"),
        ),
        (("Origin", "http://localhost:1"),),
    ],
)  # fmt: skip
def test_foreign_pages_are_refused(fields):
    with pytest.raises(failures.RequestError) as error:
        _check(_HERE, *fields)
    assert error.value.status == 403


def test_two_hosts_are_malformed():
    with pytest.raises(failures.RequestError) as error:
        _check(_HERE, ("Host", "localhost"), ("Host", "localhost"))
    assert error.value.status == 400


def test_where_others_may_ask_any_name_will_do_but_no_foreign_page():
    _check(None, ("Host", "gpu.example:80"))
    _check(None, ("Host", "a.example"), ("Origin", "http://a.example"))
    with pytest.raises(failures.RequestError) as error:
        _check(None, ("Host", "a.example"), ("Origin", "http://b.example"))
    assert error.value.status == 403


def test_host_is_needed_from_http_1_1_on():
    with pytest.raises(failures.RequestError, match="missing") as error:
        _check(_HERE, version="1.1")
    assert error.value.status == 400
    _check(_HERE, version="1.0")


@pytest.mark.parametrize(
    "host",
    [
        "me@127.0.0.1",
        "localhost@rebound.example",
        "[",
        "127.0.0.1/x",
        "a b",
        "127.0.0.1:x",
        "[::1",
        "a:1:2",
    ],
)
def test_what_cannot_be_a_host_is_refused(host):
    with pytest.raises(failures.RequestError, match="NAME:PORT") as error:
        _check(_HERE, ("Host", host))
    assert error.value.status == 400
