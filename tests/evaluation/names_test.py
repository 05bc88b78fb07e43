"""Class names as they can be shown."""

import os

from tf_finetune.evaluation import names


def test_a_short_name_is_shown_as_it_is():
    assert names.shown("ants", 4) == "ants"


def test_a_long_name_loses_its_end():
    assert names.shown("abcdefghij", 7) == "abcdef…"
    assert names.shown("abcdefghij", 10) == "abcdefghij"


def test_a_note_is_whole_or_not_there():
    assert names.bracketed("majority", "ants", 15) == "majority (ants)"
    assert names.bracketed("majority", "ants", 14) == "majority"
    assert names.bracketed("a", "x\ny", 20) == r"a ('x\ny')"


def test_chinese_counts_twice():
    assert names.columns("蚂蚁") == 4
    assert names.columns(names.shown("蚂蚁蜜蜂黄蜂", 8)) <= 8
    assert names.padded("蚂蚁", 6) == "蚂蚁  "


def test_what_cannot_be_printed_is_escaped():
    assert names.shown("a\nb", 20) == r"'a\nb'"
    shown = names.shown(os.fsdecode(b"caf\xe9"), 20)
    assert shown.encode("utf-8") == rb"'caf\udce9'"
