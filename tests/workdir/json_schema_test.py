"""Tests of tf_finetune/workdir/json_schema.py."""

import json
import math
import os
import re

import pytest

from tf_finetune import errors
from tf_finetune.workdir import json_schema

_KIND = json_schema.Record(
    needed={
        "status": json_schema.OneOf(("begun", "finished")),
        "model": json_schema.Record(
            {"size": json_schema.Number(1, 4096, True)}
        ),
    },
    possible={
        "names": json_schema.Items(json_schema.Text(longest=5), at_least=2),
        "shares": json_schema.Table(json_schema.Number(0, 1)),
        "side": json_schema.Optional(json_schema.Number(0)),
    },
)
_GOOD = {"status": "begun", "model": {"size": 4, "other": []}}


def _read(path, value):
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return json_schema.read_json(
        path, _KIND, within=path.parent, limit=1_000_000
    )


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"names": ["a", "b"], "shares": {"x": 0, "y": 0.5}},
        {"side": None},
        {"side": 2.5, "unknown": 7},
    ],
)
def test_what_fits_is_returned_as_it_is(tmp_path, more):
    assert _read(tmp_path / "a.json", {**_GOOD, **more}) == {**_GOOD, **more}


@pytest.mark.parametrize(
    "changed, words",
    [
        ([1, 2], "it is a list of 2, and must be an object with 'status'"),
        ("[", "is not JSON"),
        ("", "is not JSON"),
        ('{"status": NaN}', "status is nan, and must be"),
        ({**_GOOD, "side": math.nan}, "side is nan, and must be a number"),
        ("\ufeff{}", "is not JSON"),
        ({"model": {"size": 4}}, "status is missing, and must be 'begun' or"),
        ({"status": "begun"}, "model is missing, and must be an object with"),
        ({**_GOOD, "status": None}, "status is None, and must be 'begun'"),
        ({**_GOOD, "status": ["begun"]}, "status is a list of 1"),
        ({**_GOOD, "model": {}}, "model.size is missing, and must be a whole"),
        ({**_GOOD, "model": {"size": -5}}, "model.size is -5, and must be a"),
        ({**_GOOD, "model": {"size": True}}, "model.size is True"),
        ({**_GOOD, "model": {"size": 4.0}}, "model.size is 4.0, and must be"),
        ({**_GOOD, "model": {"size": "4"}}, "model.size is '4'"),
        ({**_GOOD, "model": {"size": 10**60}}, "more than 40 digits"),
        ({**_GOOD, "names": ["a"]}, "names is a list of 1, and must be a list"),
        ({**_GOOD, "names": ["a", 5]}, r"names[1] is 5, and must be a string"),
        ({**_GOOD, "names": ["a", 6 * "b"]}, "names[1] is 'bbbbbb'"),
        ({**_GOOD, "shares": {"a\x1b[1m": 2}}, r"shares['a\x1b[1m'] is 2"),
        ({**_GOOD, "shares": 3}, "shares is 3, and must be an object of names"),
        ({**_GOOD, "side": -1}, "side is -1, and must be a number of at least"),
    ],
)
def test_what_does_not_fit_is_named_with_its_place(tmp_path, changed, words):
    with pytest.raises(errors.RunError, match=re.escape(words)) as found:
        _read(tmp_path / "a.json", changed)
    assert str(tmp_path / "a.json") in str(found.value)
    assert str(found.value).isprintable()
    assert "Copy the folder again" in str(found.value)


def test_infinity_is_no_number(tmp_path):
    assert json_schema.Number().find_fault(math.inf, "x")
    with pytest.raises(errors.RunError, match="side is inf"):
        _read(
            tmp_path / "a.json",
            '{"status": "begun", "model": {"size": 1}, "side": 1e999}',
        )


def test_brackets_without_end_are_a_sentence(tmp_path):
    deep = "[" * 100_000 + "]" * 100_000
    with pytest.raises(errors.RunError, match="nested too deeply"):
        _read(tmp_path / "a.json", f'{{"status": "begun", "a": {deep}}}')


def test_more_bytes_or_values_than_are_read_are_a_sentence(tmp_path):
    with pytest.raises(errors.RunError, match="1,000,001 bytes; more than"):
        _read(tmp_path / "a.json", " " * 1_000_001)
    path = tmp_path / "b.json"
    path.write_bytes(b"[" + b"[]," * 6_000_000 + b"[]]")
    with pytest.raises(errors.RunError, match="values; more than"):
        json_schema.read_json(path, _KIND, limit=1 << 30)


@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "link"])
def test_what_is_no_regular_file_of_the_folder_is_refused(tmp_path, kind):
    outside = tmp_path / "outside.json"
    outside.write_text(json.dumps(_GOOD))
    folder = tmp_path / "run"
    folder.mkdir()
    path = folder / "a.json"
    {
        "pipe": lambda: os.mkfifo(path),
        "folder": path.mkdir,
        "device": lambda: path.symlink_to("/dev/zero"),
        "link": lambda: path.symlink_to(outside),
    }[kind]()
    words = "outside of" if kind == "link" else "not a regular file but a"
    with pytest.raises(errors.RunError, match=words):
        json_schema.read_json(path, _KIND, within=folder, limit=1000)


def test_an_absent_file_is_left_to_the_caller(tmp_path):
    with pytest.raises(FileNotFoundError):
        json_schema.read_json(tmp_path / "a.json", _KIND, limit=1000)
