"""Tests of tf_finetune/config/options.py."""

import dataclasses
import fractions
import os
import pathlib
from typing import Literal

import numpy as np
import pytest
from absl import flags

from tf_finetune import errors
from tf_finetune.config import flag_parser, option_types, options


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inner:
    rate: float | None = options.option(0.5, "A rate.")
    names: tuple[str, ...] = options.option(("a", "b"), "Names.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outer:
    inner: Inner = options.group(Inner, "inner things")
    count: int = options.option(3, "A count.")
    loud: bool = options.option(True, "Loudness.")
    kind: Literal["x", "y"] = options.option("x", "A kind.")
    path: str | None = options.option(None, "A path.")
    size: int | Literal["auto", "most"] = options.option(1, "A size.")


def _parse(*arguments: str) -> Outer:
    values = flags.FlagValues()
    options.define_flags(Outer, values)
    values(["program", *arguments])
    return options.from_flags(Outer, values)


def test_no_flags_give_the_defaults():
    assert _parse() == Outer()


def test_every_kind_of_flag_is_parsed():
    parsed = _parse(
        "--rate=0.25", "--names=c, d", "--count=7", "--noloud", "--kind=y",
        "--path=/p",
    )  # fmt: skip
    assert parsed == Outer(
        inner=Inner(rate=0.25, names=("c", "d")),
        count=7,
        loud=False,
        kind="y",
        path="/p",
    )


def test_an_optional_flag_can_be_set_to_none():
    assert _parse("--rate=none").inner.rate is None


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("--count=many", "--count must be a whole number, got 'many'"),
        ("--rate=fast", "--rate must be a number, got 'fast'"),
        ("--loud=maybe", "--loud must be true or false, got 'maybe'"),
        ("--kind=z", "--kind must be one of x, y, got 'z'"),
    ],
)
def test_a_bad_value_names_its_flag_and_what_is_possible(argument, words):
    with pytest.raises(flags.Error, match=words):
        _parse(argument)


def test_an_unknown_flag_is_answered_with_the_nearest():
    values = flags.FlagValues()
    options.define_flags(Outer, values)
    with pytest.raises(errors.UsageError, match="Did you mean --count"):
        flag_parser.parse_arguments(values, ["--cuont=3"])


def test_a_flagfile_replays_a_config_exactly(tmp_path):
    config = Outer(
        inner=Inner(rate=None, names=()), loud=False, path="/a b/ü=1,2"
    )
    file = tmp_path / "run.flags"
    file.write_text(options.to_flagfile(config), encoding="utf-8")
    assert options.from_flagfile(Outer, str(file)) == config


def test_a_line_break_that_no_flagfile_can_hold_is_refused():
    with pytest.raises(errors.UsageError, match="--path cannot be written"):
        options.to_flagfile(Outer(path="a\nb"))


def test_keywords_mean_the_same_as_flags():
    built = options.from_keywords(
        Outer, {"rate": 1, "names": "c,d", "count": 4}
    )
    assert built == _parse("--rate=1", "--names=c,d", "--count=4")


def test_an_unknown_keyword_is_answered_with_the_nearest():
    with pytest.raises(errors.UsageError, match="Did you mean count"):
        options.from_keywords(Outer, {"coutn": 1})


@pytest.mark.parametrize(
    ("name", "value"),
    [("count", 1.5), ("count", True), ("kind", "z"), ("loud", 1)],
)
def test_a_keyword_of_the_wrong_type_is_refused(name, value):
    with pytest.raises(errors.UsageError, match=f"--{name} must be"):
        options.from_keywords(Outer, {name: value})


@pytest.mark.parametrize(
    ("name", "value", "plain"),
    [
        ("count", np.int64(7), 7),
        ("count", np.array(7, np.uint8), 7),
        ("rate", np.float32(0.25), 0.25),
        ("rate", np.int32(2), 2.0),
        ("rate", fractions.Fraction(1, 4), 0.25),
        ("loud", np.bool_(False), False),
        ("kind", np.str_("y"), "y"),
        ("size", np.int64(12), 12),
        ("path", pathlib.Path("a/ü"), "a/ü"),
        ("names", pathlib.Path("a,b"), ("a,b",)),
        ("names", [pathlib.Path("a"), np.str_("b")], ("a", "b")),
        ("names", np.array(["a", "b"]), ("a", "b")),
    ],
)
def test_values_of_other_types_become_python_s_own(name, value, plain):
    values = options.from_keywords(Outer, {name: value})
    found = options.collect_values(values)[name]
    assert found == plain
    # Files hold the text of the value.
    assert repr(found) == repr(plain)


def test_an_entry_of_a_folder_becomes_its_path(tmp_path):
    (tmp_path / "a").touch()
    (entry,) = os.scandir(tmp_path)
    found = options.from_keywords(Outer, {"path": entry}).path
    assert found == str(tmp_path / "a")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("count", np.float32(3)),
        ("count", np.bool_(True)),
        ("loud", np.int64(1)),
        ("rate", np.array([1.0, 2.0])),
        ("rate", 10**400),
    ],
)
def test_a_number_that_would_change_is_refused(name, value):
    with pytest.raises(errors.UsageError, match=f"--{name} must be"):
        options.from_keywords(Outer, {name: value})


@pytest.mark.parametrize("text", ["a,,b", "a,", ",a", "a, ,b", ","])
def test_an_empty_entry_of_a_list_is_refused(text):
    with pytest.raises(flags.Error, match="--names must have no empty entry"):
        _parse(f"--names={text}")
    with pytest.raises(errors.UsageError, match="number . of .* is"):
        options.from_keywords(Outer, {"names": text})
    with pytest.raises(errors.UsageError, match="no empty entry"):
        options.from_keywords(Outer, {"names": text.split(",")})


@pytest.mark.parametrize("text", ["", "  "])
def test_an_empty_text_is_a_list_without_entries(text):
    assert _parse(f"--names={text}").inner.names == ()


def test_replace_changes_options_of_groups_by_name():
    changed = options.replace(Outer(count=9), rate=0.1)
    assert changed == Outer(inner=Inner(rate=0.1), count=9)


def test_a_config_whose_defaults_are_impossible_still_has_flags():
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Needy:
        name: str = options.option("", "A name that must be given.")

        def __post_init__(self):
            if not self.name:
                raise errors.UsageError("--name is needed")

    values = flags.FlagValues()
    options.define_flags(Needy, values)
    values(["program", "--name=x"])
    assert options.from_flags(Needy, values) == Needy(name="x")


def test_an_option_declared_twice_is_a_programming_error():
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Twice:
        inner: Inner = options.group(Inner, "inner")
        rate: int = options.option(1, "Again.")

    with pytest.raises(TypeError, match="rate"):
        options.list_options(Twice)


@pytest.mark.parametrize("size", [12, "auto", "most"])
def test_a_number_or_a_word_is_either(size):
    assert _parse(f"--size={size}").size == size
    assert options.from_keywords(Outer, {"size": size}).size == size
    assert options.to_flagfile(Outer(size=size)).endswith(f"--size={size}\n")


def test_neither_number_nor_word_is_refused_with_both():
    words = "--size must be a whole number or auto, most, got"
    with pytest.raises(flags.IllegalFlagValueError, match=f"{words} 'big'"):
        _parse("--size=big")
    for value in (1.5, True, None):
        with pytest.raises(errors.UsageError, match=f"{words} {value}"):
            options.from_keywords(Outer, {"size": value})


def test_help_says_that_a_number_or_a_word_is_possible():
    (field,) = (f for n, f, *_ in options.list_options(Outer) if n == "size")
    assert option_types.describe_field(field) == "a whole number or auto, most"
