"""Tests of tf_finetune/config/durations.py."""

import pytest

from tf_finetune import errors
from tf_finetune.config import durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("20m", 1200), ("1.5h", 5400), ("1d", 86400), ("45", 45)],
)
def test_a_duration_is_read_in_its_unit(text, seconds):
    assert durations.parse_duration("time_budget", text) == seconds


def test_no_duration_stays_none():
    assert durations.parse_duration("time_budget", None) is None


@pytest.mark.parametrize("text", ["soon", "20 minutes", "-5m", "0", ""])
def test_another_text_is_refused_with_the_flag_and_examples(text):
    with pytest.raises(errors.UsageError, match="--time_budget.*90s, 20m"):
        durations.parse_duration("time_budget", text)
