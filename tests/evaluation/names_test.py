"""Class names as they can be shown."""

import os

from tf_finetune.evaluation import names


def test_a_short_name_is_shown_as_it_is():
    assert names.shown("ants", 4) == "ants"


def test_a_long_name_loses_its_middle():
    assert names.shown("abcdefghij", 7) == "abc…hij"
    assert names.shown("abcdefghij", 6) == "abc…ij"


def test_chinese_counts_twice():
    assert names.columns("蚂蚁") == 4
    assert names.columns(names.shown("蚂蚁蜜蜂黄蜂", 8)) <= 8
    assert names.padded("蚂蚁", 6) == "蚂蚁  "


def test_what_cannot_be_printed_is_escaped():
    assert names.shown("a\nb", 20) == r"'a\nb'"
    shown = names.shown(os.fsdecode(b"caf\xe9"), 20)
    assert shown.encode("utf-8") == rb"'caf\udce9'"
