import pytest

from tf_finetune import errors
from tf_finetune.data.masks import mask_files, mask_values

IGNORED = mask_files.IGNORED_INDEX


def test_declared_names_are_numbered_by_value():
    found = mask_values.map_numbers(("a", "b", "c"), None, {0, 2})
    assert found.names == ("a", "b", "c")
    assert found.indices == {0: 0, 1: 1, 2: 2}


@pytest.mark.parametrize("ignore", ["void", "1"])
def test_the_ignored_class_is_none_and_the_others_move_up(ignore):
    found = mask_values.map_numbers(("a", "void", "c"), ignore, {0, 1, 2})
    assert found.names == ("a", "c")
    assert found.indices == {0: 0, 1: IGNORED, 2: 1}


def test_an_ignored_value_needs_no_name():
    found = mask_values.map_numbers((), "255", {0, 1, 2, 255})
    assert found.names == ("class_0", "class_1", "class_2")
    assert found.indices[255] == IGNORED


def test_black_and_white_is_two_classes():
    found = mask_values.map_numbers((), None, {0, 255})
    assert found.names == ("background", "foreground")
    assert found.indices == {0: 0, 255: 1}
    named = mask_values.map_numbers(("cell", "wall"), None, {0, 255})
    assert named.names == ("cell", "wall")
    assert named.indices == {0: 0, 255: 1}


def test_two_numbers_without_names_are_background_and_foreground():
    assert mask_values.map_numbers((), None, {0, 1}).names == (
        "background",
        "foreground",
    )


def test_a_lone_255_among_small_values_is_asked_about():
    with pytest.raises(errors.DataError, match="--ignore_label=255"):
        mask_values.map_numbers((), None, {0, 20, 255})


def test_more_values_than_classes_can_be_are_refused():
    with pytest.raises(errors.DataError, match="300 different.*up to 2990"):
        mask_values.map_numbers((), None, {10 * k for k in range(300)})


@pytest.mark.parametrize(
    "values",
    [
        (0, 38, 75),
        (0, 128, 255),
        (0, 127, 255),
        (0, 85, 170, 255),
        (0, 29, 76, 150),
        (10, 20, 30),
        (0, 1000, 65535),
    ],
)
def test_values_with_gaps_are_classes_in_their_order(values):
    found = mask_values.map_numbers((), None, values)
    assert found.names == tuple(f"class_{value}" for value in values)
    assert found.indices == {value: k for k, value in enumerate(values)}
    assert f"{values[1]} class_{values[1]}" in found.table()


@pytest.mark.parametrize("white", [100, 200, 254, 65535])
def test_black_and_one_shade_are_background_and_foreground(white):
    found = mask_values.map_numbers((), None, {0, white})
    assert found.names == ("background", "foreground")
    assert found.indices == {0: 0, white: 1}


@pytest.mark.parametrize("values", [{1, 2, 3}, {0, 2}, {0, 1, 3, 4}, {2, 3}])
def test_numbers_of_which_a_few_do_not_occur_stay_numbers(values):
    found = mask_values.map_numbers((), None, values)
    assert found.names == tuple(f"class_{k}" for k in range(max(values) + 1))
    assert found.is_plain


@pytest.mark.parametrize("values", [{0, 128, 255}, {1, 255}, {0, 20, 255}])
def test_as_many_names_as_values_name_them_in_their_order(values):
    names = ("a", "b", "c")[: len(values)]
    found = mask_values.map_numbers(names, None, values)
    assert found.names == names
    assert found.indices == {v: k for k, v in enumerate(sorted(values))}


def test_the_ignored_one_may_be_among_the_names_or_not():
    values = {0, 128, 255}
    named = mask_values.map_numbers(("a", "b", "void"), "void", values)
    valued = mask_values.map_numbers(("a", "b"), "255", values)
    assert named == valued
    assert named.indices == {0: 0, 128: 1, 255: IGNORED}


def test_names_by_value_are_taken_at_their_word():
    found = mask_values.map_numbers({0: "a", 7: "b", 255: "c"}, "b", {0, 255})
    assert found.names == ("a", "c")
    assert found.indices == {0: 0, 7: IGNORED, 255: 1}


@pytest.mark.parametrize(
    ("values", "classes"), [({0, 1, 2, 255}, 3), ({0, 20, 255}, 2)]
)
def test_the_advice_about_255_can_be_followed(values, classes):
    with pytest.raises(
        errors.DataError,
        match=f"--ignore_label=255 leaves it.*names {len(values)} classes",
    ):
        mask_values.map_numbers((), None, values)
    ignoring = mask_values.map_numbers((), "255", values)
    assert len(ignoring.names) == classes
    names = [str(k) for k in range(len(values))]
    assert len(mask_values.map_numbers(names, None, values).names) == len(
        values
    )


def test_255_beside_a_single_value_is_not_said_to_be_ignorable():
    with pytest.raises(errors.DataError, match="nothing but 1 to learn"):
        mask_values.map_numbers((), None, {1, 255})


def test_an_unknown_ignored_class_is_a_usage_error_with_a_hint():
    with pytest.raises(errors.UsageError, match="Did you mean 'Unlabelled'"):
        mask_values.map_numbers(("Sky", "Unlabelled"), "unlabeled", {0})


def test_colors_become_the_classes_of_the_map():
    colors = {"sky": (1, 2, 3), "void": (0, 0, 0), "road": (9, 9, 9)}
    found = mask_values.map_colors(colors, "void")
    assert found.names == ("sky", "road")
    assert found.indices == {0x010203: 0, 0: IGNORED, 0x090909: 1}
    assert found.format_value(0x010203) == "(1, 2, 3)"


def test_another_scheme_has_another_key():
    keys = {
        mask_values.map_numbers(("a", "b"), None, {0, 1}).key,
        mask_values.map_numbers(("a", "b"), "b", {0, 1}).key,
        mask_values.map_numbers(("a", "b"), None, {0, 255}).key,
    }
    assert len(keys) == 3
    # Names alone change no pixel.
    same = mask_values.map_numbers(("x", "y"), None, {0, 1}).key
    assert same in keys
