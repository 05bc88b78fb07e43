"""Classes of other pictures that a finished run does not know."""

import types

import pytest

from tf_finetune import errors
from tf_finetune.runs.finished import class_check


def _place(*names):
    return types.SimpleNamespace(path="the/run", class_names=lambda: names)


def test_known_classes_pass():
    assert class_check.check_classes(_place("ant", "bee"), ["bee"]) is None


def test_a_similar_name_is_proposed():
    with pytest.raises(errors.DataError) as raised:
        class_check.check_classes(_place("ants", "bees"), ["ants", "Bees"])
    assert str(raised.value) == (
        "The run in the/run does not know the class 'Bees'; it knows ants, "
        "bees. Did you mean 'bees' by 'Bees'? Spell it the same way."
    )


def test_several_unknown_classes_are_counted():
    with pytest.raises(errors.DataError, match="'x' and 2 more; it knows ant"):
        class_check.check_classes(_place("ant"), ["z", "y", "x"])


def test_ten_known_classes_are_listed():
    names = [f"class{number:02d}" for number in range(12)]
    with pytest.raises(errors.DataError) as raised:
        class_check.check_classes(_place(*names), ["?"])
    assert "class09 and 2 more." in str(raised.value)
    assert "class10" not in str(raised.value)
    assert str(raised.value).endswith(
        "Rename or leave out the classes that it does not know."
    )
