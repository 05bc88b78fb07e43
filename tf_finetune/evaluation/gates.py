"""Gates: figures that a run must reach, such as `--fail_below`."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from tf_finetune import errors

# Two results must agree in these, where both state them, to be compared.
_COMPARABLE_KEYS = {
    "split": "on another split",
    "data_fingerprint": "on other pictures or splits",
    "examples": "on another number of pictures",
}


class Measures(Protocol):
    """Directions and ranking of a task's metrics, as gates need them.

    A gate is a condition on the result of a run, such as "accuracy:0.9".

    Attributes:
        higher_is_better: Names of metrics such as accuracy.
        lower_is_better: Names of metrics such as log_loss.
        unbounded: Names of those that may exceed 1.
    """

    higher_is_better: tuple[str, ...]
    lower_is_better: tuple[str, ...]
    unbounded: tuple[str, ...]

    def merit(self, figures: Mapping[str, Any]) -> tuple[float, ...]:
        """Returns a sort key of a split's metrics by name; more is better."""

    def format_brief(self, figures: Mapping[str, Any]) -> str:
        """Formats a split's main metrics in a few words."""

    def describe_difference(
        self, figures: Mapping[str, Any], other: Mapping[str, Any]
    ) -> str:
        """Describes the interval of the difference of two results' metrics.

        Empty if no interval is known.
        """


def check_spec(spec: str, measures: Measures) -> None:
    """Checks a METRIC:VALUE value of `--fail_below`.

    Args:
        spec: Such as "accuracy:0.9".
        measures: Metrics of the task.

    Raises:
        UsageError: It is not METRIC:VALUE, its metric is unknown, or its value
            is out of range.
    """
    _parse_spec(spec, measures)


def find_failures(
    evaluation: Mapping[str, Any], specs: Sequence[str], measures: Measures
) -> tuple[str, ...]:
    """Finds the METRIC:VALUE conditions that a result does not meet.

    Args:
        evaluation: Metrics of one split.
        specs: Values of `--fail_below`. A metric must reach its value; one for
            which lower is better must not lie above it.
        measures: Metrics of the task.

    Returns:
        A sentence for every condition that is not met, also for metrics that
        are undefined; empty: all are met.

    Raises:
        UsageError: A spec is not METRIC:VALUE.
    """
    sentences = (
        _describe_failure(evaluation, *_parse_spec(spec, measures), measures)
        for spec in specs
    )
    return tuple(sentence for sentence in sentences if sentence)


def explain_not_better(
    evaluation: Mapping[str, Any],
    other_evaluation: Mapping[str, Any],
    other_name: str,
    measures: Measures,
) -> str | None:
    """Explains why a result is not better than another; None if it is.

    The task ranks both (`measures.merit`). Where they name different metrics
    in `judged_by`, both are ranked by that of `evaluation`, or if the other
    lacks its value, by that of the other. A tie is not better.

    Args:
        evaluation: Metrics of one split.
        other_evaluation: At least their summary, on the same split of the
            same data.
        other_name: Its name in a sentence: "the probe".
        measures: Metrics of the task, which rank the two.

    Returns:
        A sentence, or None.

    Raises:
        RunError: Both state their `split`, `data_fingerprint` or number of
            `examples`, and these differ; or no metric ranks both.
    """
    _check_comparable(evaluation, other_evaluation, other_name)
    evaluation, other_evaluation = _align_ranking(
        evaluation, other_evaluation, other_name
    )
    # Strictly greater: a tie does not pass.
    if measures.merit(evaluation) > measures.merit(other_evaluation):
        return None
    compared = measures.describe_difference(evaluation, other_evaluation)
    return (
        f"The result ({measures.format_brief(evaluation)}) is not better than "
        f"{other_name} ({measures.format_brief(other_evaluation)})"
        f"{compared and '; '}{compared}."
    )


def _parse_spec(spec: str, measures: Measures) -> tuple[str, float]:
    name, colon, text = spec.partition(":")
    if not colon:
        raise errors.UsageError(
            f"--fail_below={spec} must be METRIC:VALUE, e.g. accuracy:0.9."
        )
    known = measures.lower_is_better + measures.higher_is_better
    if name not in known:
        raise errors.make_unknown_error("metric of --fail_below", name, known)
    # NaN stands for text that is no number: one check refuses both.
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    highest = math.inf if name in measures.unbounded else 1.0
    if not (0 <= value <= highest and math.isfinite(value)):
        wanted = "at least 0" if highest > 1 else "between 0 and 1"
        raise errors.UsageError(
            f"--fail_below={spec}: the value of {name} must be a number "
            f"{wanted}, got {text!r}."
        )
    return name, value


def _describe_failure(
    evaluation: Mapping[str, Any],
    name: str,
    bound: float,
    measures: Measures,
) -> str | None:
    value = evaluation.get(name)
    # None is a figure without a value, such as top-5 of three classes.
    if value is None:
        return f"{name} is not defined for this split; {bound:g} is required."
    lower = name in measures.lower_is_better
    if value <= bound if lower else value >= bound:
        return None
    word = "above" if lower else "below"
    return f"{name} is {value:.4f}, {word} the required {bound:g}."


def _check_comparable(
    evaluation: Mapping[str, Any], other: Mapping[str, Any], name: str
) -> None:
    for key, how in _COMPARABLE_KEYS.items():
        stated = key in evaluation and key in other
        if stated and evaluation[key] != other[key]:
            raise errors.RunError(
                f"The result cannot be compared with {name}, which was "
                f"evaluated {how} ({key} {other[key]}, here "
                f"{evaluation[key]}). Compare runs on the same --data, "
                "splits and --seed."
            )


def _align_ranking(
    evaluation: Mapping[str, Any], other: Mapping[str, Any], name: str
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Returns both results with the same `judged_by`, a figure both have."""
    keys = [each.get("judged_by") for each in (evaluation, other)]
    if None in keys or keys[0] == keys[1]:
        return evaluation, other
    # The result's own figure first, then that of the other.
    for key in keys:
        if evaluation.get(key) is not None and other.get(key) is not None:
            return (
                {**evaluation, "judged_by": key},
                {**other, "judged_by": key},
            )
    raise errors.RunError(
        f"The result cannot be compared with {name}: it is ranked by "
        f"{keys[0]} and the other by {keys[1]}, and neither figure is defined "
        "for both. Train both with the same --target_transform."
    )
