"""What separates the labels of a cell."""

import itertools

import pytest

from tf_finetune import errors
from tf_finetune.config import data_options
from tf_finetune.tasks.multilabel import label_cells, label_separators

_NAMES = ("disc", "frame", "cross")
_SETS = [s for n in (1, 2, 3) for s in itertools.combinations(_NAMES, n)]


def _split(texts, word):
    return [label_cells.parse_cell(text, "here", word) for text in texts]


@pytest.mark.parametrize(
    ("word", "write"),
    [
        ("bar", "|".join),
        ("bar", " | ".join),
        ("comma", ",".join),
        ("comma", ", ".join),
        ("semicolon", ";".join),
        ("semicolon", " ; ".join),
        ("blank", " ".join),
        ("blank", "  ".join),
        ("slash", "/".join),
        ("slash", " / ".join),
        ("plus", "+".join),
        ("ampersand", " & ".join),
        ("colon", ":".join),
        ("dash", "-".join),
        ("underscore", "_".join),
        ("tab", "\t".join),
        ("line", "\n".join),
        ("list", lambda names: str(list(names))),
        ("list", lambda names: str(tuple(names))),
        ("list", lambda names: "[" + " ".join(map(repr, names)) + "]"),
        ("list", lambda names: "[" + ", ".join(names) + "]"),
        ("list", lambda names: '["' + '","'.join(names) + '"]'),
        ("list", lambda names: "{" + ", ".join(map(repr, names)) + "}"),
    ],
)
def test_one_separator_is_found(word, write):
    texts = [write(each) for each in _SETS]
    assert label_separators.find_separator([*texts, *texts, ""], "here") == word
    assert _split(texts, word) == [tuple(sorted(each)) for each in _SETS]


def test_names_with_blanks_survive_other_separators():
    names = ("New York", "Boston", "Salt Lake City", "R&B / soul")
    for word in ("bar", "semicolon", "comma"):
        texts = [
            f"{label_cells.CHARACTERS[word]} ".join(pair)
            for pair in itertools.permutations(names, 2)
        ] + list(names)
        assert label_separators.find_separator(texts, "here") == word
        made = {name for each in _split(texts, word) for name in each}
        assert made == {*names}


@pytest.mark.parametrize(
    "texts",
    [
        ["New York", "Boston", "New Orleans", "Los Angeles"],
        ["disc", "frame", "cross"],
        ["Smith, John", "Doe, Jane"],
        ["AC/DC", "Queen", "Cream"],
        ["C++", "C", "Rust"],
        ["(a)", "b"],
        [],
    ],
)
def test_names_that_are_not_made_of_other_names_stay_whole(texts):
    assert label_separators.find_separator(texts, "here") == "bar"
    assert _split(texts, "bar") == [(each,) for each in texts]


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["red car", "blue car", "red bike", "blue bike"], ["blank"]),
        (["ice cream", "cream", "cake"], ["blank"]),
        (["Seattle, WA", "Spokane, WA", "Washington, DC", "x, y", "u, v"],
         ["comma"]),
        (["red car, bus", "red", "car", "bus", "bus, red", "car, bus"],
         ["comma", "blank"]),
    ],
)  # fmt: skip
def test_where_both_is_possible_the_flags_are_named(texts, words):
    with pytest.raises(errors.DataError) as raised:
        label_separators.find_separator(texts, "x.csv, column 'tags'")
    text = str(raised.value)
    assert "x.csv, column 'tags'" in text
    for word in [*words, "bar"]:
        assert f"--label_separator={word}" in text
        data_options.DataOptions(label_separator=word)
        assert _split(texts, word)


def test_lists_and_others_are_not_mixed():
    with pytest.raises(errors.DataError, match="some cells are lists"):
        label_separators.find_separator(["['a', 'b']", "a"], "here")


def test_what_a_run_knows_decides():
    known = ("red car", "red", "car", "New York")
    assert (
        label_separators.find_separator(["red car"], "here", known=known)
        == "bar"
    )
    assert (
        label_separators.find_separator(["car;red car"], "here", known=known)
        == "semicolon"
    )
    assert (
        label_separators.find_separator(["New York"], "here", known=known)
        == "bar"
    )
    assert (
        label_separators.find_separator(["b a", "a"], "here", known=("a", "b"))
        == "blank"
    )


@pytest.mark.parametrize(
    "text", ["[__import__('os')]", "['a' + 'b']", "['a', ['b']]", "['a"]
)
def test_a_list_is_read_and_not_run(text):
    found = label_cells.split_cell(text, "list")
    assert found is None or all("import" in e or "[" in e for e in found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("['a', \"b's\"]", ["a", "b's"]),
        ('["caf\\u00e9", "x|y"]', ["café", "x|y"]),
        ("[1, 2]", ["1", "2"]),
        ("[]", []),
        ("['a',]", ["a"]),
        ("['a, b' 'c']", ["a, b", "c"]),
    ],
)
def test_lists_are_read_as_programs_write_them(text, expected):
    assert label_cells.split_cell(text, "list") == expected


def test_separators_can_be_given_as_characters_or_words():
    for given in (";", "semicolon", "|", ",", "/", "+", "&", "tab", "list"):
        data_options.DataOptions(label_separator=given)
    for given in (" ", "\t", "x", ""):
        with pytest.raises(errors.UsageError, match="possible: auto, bar"):
            data_options.DataOptions(label_separator=given)


def test_dashes_within_names_are_no_question():
    texts = ["t-shirt", "t-bar", "x-ray", "hand_bag", "hand_cart", "a:b", "b:a"]
    assert label_separators.find_separator(texts, "here") == "bar"


def test_a_cell_that_is_an_object_is_refused():
    cell = '{"disc": 0, "frame": 1}'
    with pytest.raises(errors.DataError, match=r"neither a label nor a list"):
        label_separators.find_separator(
            [cell, '{"disc": 1, "frame": 1}'], "here"
        )
    assert (
        label_separators.find_separator(["frame", "disc|frame"], "here")
        == "bar"
    )
    assert (
        label_separators.find_separator(["['frame']", "['disc', 'frame']"], "x")
        == "list"
    )


def test_a_word_between_labels_is_no_label():
    texts = ["disc", "frame", "cross", "disc and frame", "frame and cross"]
    with pytest.raises(errors.DataError, match="'and' stands between"):
        label_separators.find_separator(texts, "here")
    data_options.DataOptions(label_separator="blank")
