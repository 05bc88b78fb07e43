"""Tests of tf_finetune/escaping.py."""

import doctest

import pytest

from tf_finetune import escaping


@pytest.mark.parametrize(
    "sign",
    ["\x1b", "\n", "\r", "\x07", "\x00", "\x9b", "\u202e", "\u2066", "\u2028",
     "\udcff", "\u200b", "\x7f"],
)  # fmt: skip
def test_what_a_terminal_would_obey_is_escaped(sign):
    for text in (escaping.quote(f"a{sign}b"), escaping.escape(f"a{sign}b")):
        assert text.isprintable() and sign not in text


def test_letters_of_every_script_stay():
    assert escaping.escape("Bäume 木 ağaç 🌲") == "Bäume 木 ağaç 🌲"
    assert escaping.quote("木 ağaç") == "木 ağaç"


def test_a_text_of_several_lines_keeps_its_lines():
    assert escaping.escape("a\n\x1bb", keep="\n") == "a\n\\x1bb"


def test_lines_that_were_joined_stay_apart_and_their_names_printable():
    lines = escaping.join(["two", "a\nb\x1b"]) + " c\n"
    assert lines == "two\na\\nb\\x1b c\\n"
    assert escaping.escape(lines) == lines


def test_the_examples_in_the_docstrings_run():
    found = doctest.testmod(escaping)
    assert found.attempted and not found.failed
