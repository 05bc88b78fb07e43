"""Figures that a run must reach: `--fail_below` and its like."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tf_finetune import errors
from tf_finetune.evaluation import yardsticks

LOWER_IS_BETTER = ("expected_calibration_error", "log_loss")
HIGHER_IS_BETTER = (
    "accuracy",
    "macro_f1",
    "macro_precision",
    "macro_recall",
    "top_5_accuracy",
    "weighted_f1",
    "weighted_precision",
    "weighted_recall",
)
# Two results must agree in these, where both state them, to be compared.
_IDENTITY = {
    "split": "on another split",
    "data_fingerprint": "on other pictures or splits",
    "examples": "on another number of pictures",
}


def check_specs(specs: Sequence[str]) -> None:
    """Raises `UsageError` if a METRIC:VALUE of `--fail_below` cannot be."""
    for spec in specs:
        _parse(spec)


def failures(
    evaluation: Mapping[str, Any], specs: Sequence[str]
) -> tuple[str, ...]:
    """Returns a sentence for every METRIC:VALUE that is missed.

    Args:
        evaluation: The figures of one split.
        specs: As `--fail_below` takes them. A metric for which lower is
            better must not lie above its value.

    Raises:
        UsageError: A spec is none.
    """
    sentences = (_failure(evaluation, *_parse(spec)) for spec in specs)
    return tuple(sentence for sentence in sentences if sentence)


def not_better(
    evaluation: Mapping[str, Any],
    other_evaluation: Mapping[str, Any],
    other_name: str,
) -> str | None:
    """Returns why a result is not better than another, or None if it is.

    Better is the higher accuracy; with equal ones the lower log loss.

    Args:
        evaluation: The figures of one split.
        other_evaluation: At least `accuracy`, `accuracy_interval` and
            `log_loss` on the same split of the same data.
        other_name: As a sentence calls it: "the probe".

    Raises:
        RunError: Both state their `split`, `data_fingerprint` or number of
            `examples`, and these differ.
    """
    _check_comparable(evaluation, other_evaluation, other_name)
    merits = [
        (each["accuracy"], -each["log_loss"])
        for each in (evaluation, other_evaluation)
    ]
    if merits[0] > merits[1]:
        return None
    compared = yardsticks.compare(evaluation, other_evaluation)
    return (
        f"The result (accuracy {merits[0][0]:.4f}, log loss "
        f"{-merits[0][1]:.4f}) is not better than {other_name} (accuracy "
        f"{merits[1][0]:.4f}, log loss {-merits[1][1]:.4f}); the difference "
        f"in accuracy is {compared.difference:+.4f}, 95 % interval "
        f"{compared.low:+.4f} to {compared.high:+.4f}."
    )


def _parse(spec: str) -> tuple[str, float]:
    name, colon, text = spec.partition(":")
    if not colon:
        raise errors.UsageError(
            f"--fail_below={spec} must be METRIC:VALUE, e.g. accuracy:0.9."
        )
    if name not in LOWER_IS_BETTER + HIGHER_IS_BETTER:
        raise errors.unknown(
            "metric of --fail_below", name, LOWER_IS_BETTER + HIGHER_IS_BETTER
        )
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    highest = math.inf if name == "log_loss" else 1.0
    if not (0 <= value <= highest and math.isfinite(value)):
        wanted = "at least 0" if highest > 1 else "between 0 and 1"
        raise errors.UsageError(
            f"--fail_below={spec}: the value of {name} must be a number "
            f"{wanted}, got {text!r}."
        )
    return name, value


def _failure(
    evaluation: Mapping[str, Any], name: str, bound: float
) -> str | None:
    value = evaluation.get(name)
    if value is None:
        return f"{name} is not defined here; {bound:g} was asked for."
    lower = name in LOWER_IS_BETTER
    if value <= bound if lower else value >= bound:
        return None
    word = "above" if lower else "below"
    return f"{name} is {value:.4f}, {word} the {bound:g} asked for."


def _check_comparable(
    evaluation: Mapping[str, Any], other: Mapping[str, Any], name: str
) -> None:
    for key, how in _IDENTITY.items():
        stated = key in evaluation and key in other
        if stated and evaluation[key] != other[key]:
            raise errors.RunError(
                f"The result cannot be compared with {name}, which was "
                f"evaluated {how} ({key} {other[key]}, here "
                f"{evaluation[key]}). Compare runs on the same --data, "
                "splits and --seed."
            )
