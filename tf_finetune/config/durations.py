"""Durations as flags take them: "90s", "20m", "2h" or seconds."""

import re

from tf_finetune import errors

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_duration(name: str, text: str | None) -> float | None:
    """Parses a duration into seconds; None where the flag is not given.

    Args:
        name: Name of the flag, for the error message.
        text: A number with s, m, h or d behind it, or without: seconds.

    Raises:
        UsageError: It is no such text, or not above 0.
    """
    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd]?)", text.strip())
    seconds = float(found[1]) * _SECONDS[found[2]] if found else 0.0
    if seconds <= 0:
        raise errors.UsageError(
            f"--{name} must be a duration such as 90s, 20m or 2h, got {text!r}."
        )
    return seconds
