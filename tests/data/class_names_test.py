"""The order of classes, and names that cannot be used."""

import ast
import re
import unicodedata

import pytest

from tf_finetune import errors
from tf_finetune.data import class_names


def test_whole_numbers_are_ordered_by_value():
    names = ["10", "9", "-1", "9", "010"]
    assert class_names.sort_names(names) == ("-1", "9", "010", "10")


def test_other_names_are_ordered_as_text():
    assert class_names.sort_names(["b", "10", "9", "a"]) == (
        "10",
        "9",
        "a",
        "b",
    )


@pytest.mark.parametrize("name", ["", "two\nlines", "a\u2028b", "latin-\udce9"])
def test_names_that_labels_txt_cannot_hold_are_refused(name):
    with pytest.raises(errors.DataError, match="rename"):
        class_names.check(["cat", name])


def test_ordinary_names_pass():
    class_names.check(["cat", "größe 2", "猫"])


@pytest.mark.parametrize("name", ["nan", "NaN", "inf", "-Infinity"])
def test_nan_among_numbers_is_a_missing_value(name):
    with pytest.raises(errors.DataError, match=f"{name}.*a value is missing"):
        class_names.check(["0", name, "1.5"])


def test_nan_among_words_is_a_class():
    class_names.check(["nan", "roti", "7"])


def test_numbers_too_long_to_convert_are_names():
    long = "1" * 5000
    assert class_names.sort_names([long, "2"]) == (long, "2")


def test_fractions_are_ordered_by_value_too():
    names = ["10.0", "9.5", "1e1", "-.5", "+2"]
    assert class_names.sort_names(names) == ("-.5", "+2", "9.5", "10.0", "1e1")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["0", "1", "0.0", "1.0"], {"0.0": "0", "1.0": "1"}),
        (["01", "1", "2"], {"01": "1"}),
        (["1.50", "1.5", "15e-1"], {"1.50": "1.5", "15e-1": "1.5"}),
        (["-0", "0"], {"-0": "0"}),
        (["001", "002"], {}),
        (["1", "01", "cat"], {}),
        (["0.1", "0.10000000000000001"], {}),
        (["9" * 5000, "1", "1.0"], {}),
    ],
)
def test_equal_numbers_get_one_spelling_where_all_are_numbers(names, expected):
    assert class_names.merge_equal_numbers(names) == expected


def test_the_spelling_of_a_finished_run_comes_first():
    found = class_names.merge_equal_numbers(["1", "2", "3.0"], ("1.0", "2.0"))
    assert found == {"1": "1.0", "2": "2.0"}
    assert class_names.merge_equal_numbers(["1"], ("1.0", "cat")) == {}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Disc", "disc"),
        ("disc", "disc "),
        ("red car", "redcar"),
        ("class 1", "class 01"),
        ("Caf\u00e9", "Cafe\u0301"),
        ("a\u00a0b", "a b"),
        ("ab", "a\u200bb"),
        ("\uff21", "A"),
        ("STRASSE", "stra\u00dfe"),
    ],
)
def test_names_spelled_almost_alike_are_told_apart(caplog, first, second):
    class_names.check([first, second, "other"])
    (record,) = caplog.records
    text = record.getMessage()
    shown = re.findall(r"'[^']*'", text)[:2]
    assert shown[0] != shown[1]
    assert [ast.literal_eval(each) for each in shown] == [first, second]
    plain = [unicodedata.normalize("NFC", each) for each in shown]
    assert plain[0] != plain[1]


@pytest.mark.parametrize(
    "names", [("1.05", "1.5"), ("a1", "a10"), ("x y", "xz"), ("1", "2")]
)
def test_different_names_are_not_warned_of(caplog, names):
    class_names.check([*names, "word"])
    assert not caplog.records


def test_many_groups_of_like_names_make_ten_warnings_and_a_count(caplog):
    names = [f"{letter}{n}" for n in range(25) for letter in "aA"]
    class_names.check(names)
    texts = [record.getMessage() for record in caplog.records]
    assert len(texts) == 11
    assert texts[-1].startswith("15 more groups")
