"""The order of classes, and names that cannot be used."""

import pytest

from tf_finetune import errors
from tf_finetune.data import class_names


def test_whole_numbers_are_ordered_by_value():
    names = ["10", "9", "-1", "9", "010"]
    assert class_names.ordered(names) == ("-1", "9", "010", "10")


def test_other_names_are_ordered_as_text():
    assert class_names.ordered(["b", "10", "9", "a"]) == ("10", "9", "a", "b")


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
    assert class_names.ordered([long, "2"]) == (long, "2")
