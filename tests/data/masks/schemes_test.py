import pytest

from tf_finetune import errors
from tf_finetune.data.masks import reading, schemes

IGNORED = reading.IGNORED


def test_declared_names_are_numbered_by_value():
    found = schemes.by_number(("a", "b", "c"), None, {0, 2})
    assert found.names == ("a", "b", "c")
    assert found.indices == {0: 0, 1: 1, 2: 2}


@pytest.mark.parametrize("ignore", ["void", "1"])
def test_the_ignored_class_is_none_and_the_others_move_up(ignore):
    found = schemes.by_number(("a", "void", "c"), ignore, {0, 1, 2})
    assert found.names == ("a", "c")
    assert found.indices == {0: 0, 1: IGNORED, 2: 1}


def test_an_ignored_value_needs_no_name():
    found = schemes.by_number((), "255", {0, 1, 2, 255})
    assert found.names == ("class_0", "class_1", "class_2")
    assert found.indices[255] == IGNORED


def test_black_and_white_is_two_classes():
    found = schemes.by_number((), None, {0, 255})
    assert found.names == ("background", "foreground")
    assert found.indices == {0: 0, 255: 1}
    named = schemes.by_number(("cell", "wall"), None, {0, 255})
    assert named.names == ("cell", "wall")
    assert named.indices == {0: 0, 255: 1}


def test_two_numbers_without_names_are_background_and_foreground():
    assert schemes.by_number((), None, {0, 1}).names == (
        "background",
        "foreground",
    )


def test_a_lone_255_among_small_values_is_asked_about():
    with pytest.raises(errors.DataError, match="--ignore_label=255"):
        schemes.by_number((), None, {0, 20, 255})


def test_more_values_than_classes_can_be_are_refused():
    with pytest.raises(errors.DataError, match="up to 3000"):
        schemes.by_number((), None, {0, 3000})


def test_an_unknown_ignored_class_is_a_usage_error_with_a_hint():
    with pytest.raises(errors.UsageError, match="Did you mean 'Unlabelled'"):
        schemes.by_number(("Sky", "Unlabelled"), "unlabeled", {0})


def test_colours_become_the_classes_of_the_map():
    colors = {"sky": (1, 2, 3), "void": (0, 0, 0), "road": (9, 9, 9)}
    found = schemes.by_color(colors, "void")
    assert found.names == ("sky", "road")
    assert found.indices == {0x010203: 0, 0: IGNORED, 0x090909: 1}
    assert found.shown(0x010203) == "(1, 2, 3)"


def test_another_scheme_has_another_key():
    keys = {
        schemes.by_number(("a", "b"), None, {0, 1}).key,
        schemes.by_number(("a", "b"), "b", {0, 1}).key,
        schemes.by_number(("a", "b"), None, {0, 255}).key,
    }
    assert len(keys) == 3
    # Names alone change no pixel.
    same = schemes.by_number(("x", "y"), None, {0, 1}).key
    assert same in keys
