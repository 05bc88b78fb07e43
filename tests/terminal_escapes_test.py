"""Tests of tf_finetune/terminal_escapes.py."""

import doctest
import os

import pytest

from tf_finetune import terminal_escapes


@pytest.mark.parametrize(
    "sign",
    ["\x1b", "\n", "\r", "\x07", "\x00", "\x9b", "\u202e", "\u2066", "\u2028",
     "\udcff", "\u200b", "\x7f"],
)  # fmt: skip
def test_what_a_terminal_would_obey_is_escaped(sign):
    for text in (
        terminal_escapes.quote(f"a{sign}b"),
        terminal_escapes.escape(f"a{sign}b"),
    ):
        assert text.isprintable() and sign not in text


def test_letters_of_every_script_stay():
    assert terminal_escapes.escape("Bäume 木 ağaç 🌲") == "Bäume 木 ağaç 🌲"
    assert terminal_escapes.quote("木 ağaç") == "木 ağaç"


def test_a_text_of_several_lines_keeps_its_lines():
    assert terminal_escapes.escape("a\n\x1bb", keep="\n") == "a\n\\x1bb"


def test_lines_that_were_joined_stay_apart_and_their_names_printable():
    lines = terminal_escapes.join_lines(["two", "a\nb\x1b"]) + " c\n"
    assert lines == "two\na\\nb\\x1b c\\n"
    assert terminal_escapes.escape(lines) == lines


def test_the_examples_in_the_docstrings_run():
    found = doctest.testmod(terminal_escapes)
    assert found.attempted and not found.failed


def test_a_short_name_is_shown_as_it_is():
    assert terminal_escapes.shorten_name("ants", 4) == "ants"


def test_a_long_name_loses_its_end():
    assert terminal_escapes.shorten_name("abcdefghij", 7) == "abcdef…"
    assert terminal_escapes.shorten_name("abcdefghij", 10) == "abcdefghij"


def test_a_note_is_whole_or_not_there():
    assert (
        terminal_escapes.append_note("majority", "ants", 15)
        == "majority (ants)"
    )
    assert terminal_escapes.append_note("majority", "ants", 14) == "majority"
    assert terminal_escapes.append_note("a", "x\ny", 20) == r"a ('x\ny')"


def test_chinese_counts_twice():
    assert terminal_escapes.measure_width("蚂蚁") == 4
    assert (
        terminal_escapes.measure_width(
            terminal_escapes.shorten_name("蚂蚁蜜蜂黄蜂", 8)
        )
        <= 8
    )
    assert terminal_escapes.pad_name("蚂蚁", 6) == "蚂蚁  "


def test_what_cannot_be_printed_is_escaped():
    assert terminal_escapes.shorten_name("a\nb", 20) == r"'a\nb'"
    shown = terminal_escapes.shorten_name(os.fsdecode(b"caf\xe9"), 20)
    assert shown.encode("utf-8") == rb"'caf\udce9'"
