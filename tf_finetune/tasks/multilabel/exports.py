"""Exports of a multi-label model: metadata, and checks of quantized ones."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from scipy import special

from tf_finetune.data import examples
from tf_finetune.metrics import ranking_metrics
from tf_finetune.tasks import quantization_checks
from tf_finetune.tasks.multilabel import label_counts, label_thresholds

# Between the effect of int8 on a network that tolerates it and that of a
# mistake. Measured on MobileNet 0.25, seven genres of film posters, 64
# pictures: int8 moves probabilities by 0.029 in the mean and keeps 98.2 % of
# the labels clearly given and 99.0 % of those clearly not; swapped color
# channels move them by 0.059 and keep 89.5 and 92.4 %. MobileNetV2: int8 0.007
# and all, swapped 0.055, 95.5 and 94.2 %.
MEAN_TOLERANCE = 0.05
AGREEMENT = 0.95
# Of macro average precision and of micro F1, or one picture of few. Int8 cost
# 0.013 and 0.001 there, swapped channels 0.007 and 0.037.
LOSS = 0.05
# A label is clearly given or not if the odds of its probability are those of
# its threshold times or divided by 1.5 at least, as 0.6 and 0.4 beside 0.5.
MARGIN = float(np.log(1.5))
# Of probabilities, so that 0 and 1 have odds.
_SMALLEST = 1e-6
_Score = tuple[str, float | None, float | None]


@dataclasses.dataclass(frozen=True)
class Exports:
    """Metadata of a multi-label model's exports; checks of quantized ones.

    Attributes:
        decision: `thresholds` by label, as `Task.decide` returns them;
            empty: 0.5 for all.
    """

    losses: ClassVar[tuple[str, ...]] = ("macro_average_precision", "micro_f1")
    output: ClassVar[str] = "probabilities"
    meaning: ClassVar[str] = (
        "The probability of each label, in the order of the labels, each by "
        "itself. A label is given from its threshold in the decision on."
    )

    decision: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def with_decision(self, decision: Mapping[str, Any]) -> "Exports":
        """Returns new checks of labels predicted at these thresholds."""
        return Exports(decision)

    def load_truth(
        self,
        data: examples.ImageData,
        pictures: Sequence[examples.Picture],
        shape: Sequence[int],
    ) -> np.ndarray:
        """Returns true labels, uint8 [n, labels], 1 for those a picture has.

        `shape` is not used.
        """
        return label_counts.build_matrix(pictures, data.class_names).astype(
            "uint8"
        )

    def check_quantized(
        self, compared: quantization_checks.Comparison
    ) -> quantization_checks.CheckResult:
        """Compares probabilities, predicted labels and lost precision.

        Args:
            compared: [n, labels] probabilities; `truth` is 1 for true labels.

        Returns:
            Checks with `figures` `given_agreement` and `withheld_agreement`
            (of the pairs of picture and label clearly above, or below, the
            threshold, the share that stays on its side) and, with `truth`,
            `macro_average_precision` and `micro_f1` of the export and, after
            `evaluation_`, of the evaluation.
        """
        expected, got, truth = compared.expected, compared.got, compared.truth
        bounds = label_thresholds.read_thresholds(self.decision, compared.names)
        checks = [
            quantization_checks.check_mean_difference(
                expected, got, MEAN_TOLERANCE
            )
        ]
        stays = (expected >= bounds) == (got >= bounds)
        # In log odds, where thresholds near 0 or 1 have room on both sides.
        ahead = _compute_logits(expected) - _compute_logits(bounds)
        figures = {}
        for name, clear in (
            ("given_agreement", ahead > MARGIN),
            ("withheld_agreement", ahead < -MARGIN),
        ):
            figures[name] = quantization_checks.compute_share(stays, clear)
            checks.append(
                _check_agreement(name, figures[name], int(clear.sum()))
            )
        if truth is not None:
            for name, before, now in _compare_figures(
                expected, got, truth > 0, bounds
            ):
                figures |= {name: now, f"evaluation_{name}": before}
                # At least the weight of one picture.
                allowed = max(LOSS, 1 / len(expected))
                checks.append(
                    quantization_checks.check_drop(name, before, now, allowed)
                )
        return quantization_checks.CheckResult(
            figures=figures, checks=tuple(checks)
        )


def _compute_logits(probabilities: np.ndarray) -> np.ndarray:
    return special.logit(np.clip(probabilities, _SMALLEST, 1 - _SMALLEST))


def _check_agreement(
    name: str, found: float | None, count: int
) -> quantization_checks.Check:
    how = "given" if name == "given_agreement" else "not given"
    return quantization_checks.Check(
        name=name,
        found=found,
        limit=quantization_checks.allow_one_change(AGREEMENT, count),
        at_least=True,
        sentence=f"{quantization_checks.format_share(found)} of the labels "
        f"clearly {how} stay so",
    )


def _compare_figures(
    expected: np.ndarray,
    got: np.ndarray,
    carried: np.ndarray,
    bounds: np.ndarray,
) -> Iterator[_Score]:
    """Yields figures against true labels: name, evaluation's, export's."""
    yield (
        "macro_average_precision",
        _macro_average_precision(carried, expected),
        _macro_average_precision(carried, got),
    )
    yield (
        "micro_f1",
        _micro_f1(carried, expected >= bounds),
        _micro_f1(carried, got >= bounds),
    )


def _macro_average_precision(
    carried: np.ndarray, scores: np.ndarray
) -> float | None:
    each = [
        ranking_metrics.average_precision(*pair)
        for pair in zip(carried.T, scores.T, strict=True)
    ]
    # None: no picture carries the label.
    known = [value for value in each if value is not None]
    return float(np.mean(known)) if known else None


def _micro_f1(carried: np.ndarray, given: np.ndarray) -> float | None:
    # 2 TP / (2 TP + FP + FN); the denominator is carried + given.
    total = int(carried.sum() + given.sum())
    return 2 * int((carried & given).sum()) / total if total else None
