"""Class names as they can be shown."""

import os

from tf_finetune.drawing import display_names


def test_a_short_name_is_shown_as_it_is():
    assert display_names.shorten_name("ants", 4) == "ants"


def test_a_long_name_loses_its_end():
    assert display_names.shorten_name("abcdefghij", 7) == "abcdef…"
    assert display_names.shorten_name("abcdefghij", 10) == "abcdefghij"


def test_a_note_is_whole_or_not_there():
    assert (
        display_names.append_note("majority", "ants", 15) == "majority (ants)"
    )
    assert display_names.append_note("majority", "ants", 14) == "majority"
    assert display_names.append_note("a", "x\ny", 20) == r"a ('x\ny')"


def test_chinese_counts_twice():
    assert display_names.measure_width("蚂蚁") == 4
    assert (
        display_names.measure_width(
            display_names.shorten_name("蚂蚁蜜蜂黄蜂", 8)
        )
        <= 8
    )
    assert display_names.pad_name("蚂蚁", 6) == "蚂蚁  "


def test_what_cannot_be_printed_is_escaped():
    assert display_names.shorten_name("a\nb", 20) == r"'a\nb'"
    shown = display_names.shorten_name(os.fsdecode(b"caf\xe9"), 20)
    assert shown.encode("utf-8") == rb"'caf\udce9'"
