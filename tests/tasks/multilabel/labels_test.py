"""How labels are read, checked and described."""

import dataclasses
import pathlib

import hypothesis
import pytest
import sample_pictures
from hypothesis import strategies

from tf_finetune import errors
from tf_finetune.config import data_options
from tf_finetune.data import examples
from tf_finetune.tasks.multilabel import label_cells, labels

_LABELS = labels.LABELS


def _options(*columns):
    return data_options.DataOptions(label_column=columns)


def _of_row(cells, *columns):
    return _LABELS.read_row(
        cells, "x.csv, line 3", pathlib.Path(), _options(*columns)
    )


def _picture(number, *names, split=None):
    return sample_pictures.make_picture(
        f"/p/{number}.jpg", names, f"{number:064x}", split
    )


def _warnings(caplog):
    return [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("b|a", ("a", "b")),
        (" a | b c ", ("a", "b c")),
        ("", ()),
        ("  ", ()),
        (r"a\|b|c", ("a|b", "c")),
        (r"a\\|b", ("a\\", "b")),
        (r"AC\DC", ("AC\\DC",)),
        ("Café|動物", ("Café", "動物")),
    ],
)
def test_a_cell_of_names(cell, expected):
    assert _of_row({"tags": cell}, "tags") == expected


@hypothesis.given(
    strategies.sets(
        strategies.text(min_size=1).filter(lambda text: text == text.strip())
    )
)
def test_what_is_joined_is_read_as_it_was(names):
    assert label_cells.parse_cell(
        label_cells.join_labels(names), "here", "bar"
    ) == tuple(sorted(names))


@pytest.mark.parametrize("cell", ["a||b", "a|", "|a", "|"])
def test_an_empty_label_is_an_error(cell):
    with pytest.raises(errors.DataError, match="line 3, column 'tags'.*empty"):
        _of_row({"tags": cell}, "tags")


def test_a_label_that_stands_twice_is_an_error():
    with pytest.raises(errors.DataError, match="line 3.*'a' twice"):
        _of_row({"tags": "a|b|a"}, "tags")


def test_columns_of_zero_and_one():
    cells = {"b": "1", "a": " TRUE ", "c": "0", "d": "False", "e": "1.0"}
    assert _of_row(cells, "b", "a", "c", "d", "e") == ("a", "b", "e")
    assert _of_row({"a": "0", "b": "0.0"}, "a", "b") == ()
    assert _of_row({"a": "Yes", "b": "no"}, "a", "b") == ("a",)


@pytest.mark.parametrize("cell", ["2", "maybe", "-1", "nan", "0.5"])
def test_another_mark_is_an_error_that_names_it(cell):
    with pytest.raises(
        errors.DataError, match=f"line 3 has '{cell}' in the column 'b'"
    ):
        _of_row({"a": "0", "b": cell}, "a", "b")


@pytest.mark.parametrize("cell", ["", " "])
def test_an_empty_mark_is_an_error_that_says_what_to_write(cell):
    with pytest.raises(errors.DataError, match="nothing in.*'b'.*write 0"):
        _of_row({"a": "0", "b": cell}, "a", "b")


def test_names_are_those_that_occur_in_a_fixed_order(caplog):
    found = tuple(
        examples.Example(path=str(i), label=names)
        for i, names in enumerate([("b",), (), ("a", "b")])
    )
    listing = examples.Listing(examples=found)
    assert _LABELS.names(listing, _options("tags")) == ("a", "b")
    assert not _warnings(caplog)
    assert _LABELS.names(listing, _options("c", "b", "a")) == ("a", "b")
    assert _warnings(caplog) == [
        "No picture carries the label 'c'; it is left out."
    ]


def test_strata_are_the_labels_that_three_splits_can_share():
    pictures = [_picture(i, "a") for i in range(3)]
    pictures += [_picture(3, "a", "b"), _picture(4, "b"), _picture(5)]
    # Equal bytes count once.
    pictures.append(dataclasses.replace(pictures[4], path="/copy.jpg"))
    found, dropped = _LABELS.add_strata(pictures, ("a", "b"))
    strata = [each.strata for each in found]
    assert dropped == ()
    assert strata == [("a",)] * 4 + [("",)] * 3


def test_without_any_label_there_is_nothing_to_learn():
    with pytest.raises(errors.DataError, match="No picture carries a label"):
        _LABELS.check([_picture(0), _picture(1)])
    _LABELS.check([_picture(0), _picture(1, "a")])


def test_a_single_column_of_zeros_and_ones_is_no_column_of_names():
    pictures = [_picture(0, "0"), _picture(1, "1")]
    with pytest.raises(errors.DataError, match="name them all"):
        _LABELS.check(pictures)


def test_what_cannot_be_learned_or_judged_is_named(caplog):
    _LABELS.check_divided(
        [
            _picture(0, "always", split="train"),
            _picture(1, "always", "often", split="train"),
            _picture(2, "always", "late", split="validation"),
        ]
    )
    assert _warnings(caplog) == [
        "No training picture carries the label 'late'; it is not learned.",
        "Every training picture carries the label 'always'; the model always "
        "gives it.",
        "No validation picture carries the label 'often'.",
    ]


def test_many_missing_labels_make_one_short_warning(caplog):
    names = [f"{number:02}" for number in range(30)]
    _LABELS.check_divided(
        [
            _picture(0, *names, split="train"),
            _picture(1, "a", split="train"),
            _picture(2, "a", split="validation"),
        ]
    )
    (message,) = _warnings(caplog)
    assert "'19' and 10 more" in message


def test_the_description_counts_labels():
    pictures = (
        _picture(0, "a", split="train"),
        _picture(1, "a", "b", split="train"),
        _picture(2, split="test"),
    )
    data = sample_pictures.make_data(("a", "b"), pictures)
    assert _LABELS.describe(data) == {
        "labels": {"train": {"a": 2, "b": 1}, "test": {"a": 0, "b": 0}},
        "labels_per_picture": {"train": 1.5, "test": 0.0},
        "with_labels": {"train": 2, "test": 0},
        "without_labels": {"train": 0, "test": 1},
    }


def test_the_text_of_labels_is_their_cell():
    assert _LABELS.text(("a|b", "c")) == r"a\|b|c"


def test_a_label_whose_pictures_cannot_be_used_is_named(caplog):
    _LABELS.add_strata([_picture(0, "a")], ("a", "b"))
    assert _warnings(caplog) == [
        "No usable picture carries the label 'b'; it is not learned."
    ]
