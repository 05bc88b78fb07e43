"""Exports of a regression: metadata, and checks of quantized ones."""

from collections.abc import Mapping, Sequence

import numpy as np

from tf_finetune.data import examples
from tf_finetune.metrics import regression_metrics
from tf_finetune.tasks import quantization_checks
from tf_finetune.tasks.regression import labels

# Between the effect of int8 on a network that tolerates it and that of a
# mistake, in shares of a target's range among the pictures. Measured on
# MobileNet 0.25, price, area and bedrooms of houses, 64 pictures, of the target
# that suffers most: int8 moves values by 5.4 % in the mean, keeps the order of
# 99.1 % of the pairs and costs 0.05 of R²; swapped color channels move them by
# 19 %, keep 92.2 % and cost 0.70. MobileNetV2, area and price from kitchens:
# int8 2.4 %, all and 0.04, swapped 10.9 %, 98.6 % and 0.10.
MEAN_TOLERANCE = 0.08
ORDER = 0.96
R2_LOSS = 0.1
# Two pictures that differ by less may come in either order.
APART = 0.2
# R² of fewer pictures says little.
_FEWEST = 20


class Exports:
    """Metadata of a regression's exports, and checks of quantized ones."""

    losses = ("r2",)
    output = "values"
    meaning = (
        "The value of each target, in the order of the labels and in the "
        "units of the training data."
    )

    def load_truth(
        self,
        data: examples.ImageData,
        pictures: Sequence[examples.Picture],
        shape: Sequence[int],
    ) -> np.ndarray:
        """Returns the true values, float64 [n, targets]; ignores `shape`."""
        return labels.stack_targets(pictures)

    def check_quantized(
        self, compared: quantization_checks.Comparison
    ) -> quantization_checks.CheckResult:
        """Compares values, order of pictures and R² of each target.

        Args:
            compared: [n, targets] values, and true ones, without which R² is
                not checked; a unit is such as the range of a target.

        Returns:
            Checks with `figures` `per_target`, by name: `mean_abs_difference`
            (a share of `unit`), `pairs_apart` (number of pairs of pictures
            that the evaluation sets apart by more than a fifth of `unit`),
            `order_agreement` (share of these pairs that keeps its order) and,
            from twenty true values on, `r2` and `evaluation_r2`.
        """
        names, truth = compared.names, compared.truth
        units = np.broadcast_to(compared.unit, len(names))
        known = truth is not None and len(truth) >= _FEWEST
        per_target, checks = {}, []
        for index, name in enumerate(names):
            # In shares of the target's unit, so that one limit suits all.
            columns = [compared.expected, compared.got]
            columns += [truth] if known else []
            found = _compare_target(
                *(c[:, index] / units[index] for c in columns)
            )
            per_target[name] = found
            checks += _build_checks(name, found)
        return quantization_checks.CheckResult(
            figures={"per_target": per_target}, checks=tuple(checks)
        )


EXPORTS = Exports()


def _compare_target(
    expected: np.ndarray, got: np.ndarray, true: np.ndarray | None = None
) -> dict[str, float | None]:
    # All pairs: [i, j] is the difference of pictures i and j.
    before = expected[:, np.newaxis] - expected
    after = got[:, np.newaxis] - got
    apart = np.abs(before) > APART
    found = {
        "mean_abs_difference": float(np.abs(expected - got).mean()),
        "order_agreement": quantization_checks.compute_share(
            before * after > 0, apart
        ),
        # Each pair stands there twice, as (i, j) and (j, i).
        "pairs_apart": int(apart.sum()) // 2,
    }
    if true is not None:
        found["r2"] = regression_metrics.r2(true, got)
        found["evaluation_r2"] = regression_metrics.r2(true, expected)
    return found


def _build_checks(
    name: str, found: Mapping[str, float | None]
) -> list[quantization_checks.Check]:
    mean, order = found["mean_abs_difference"], found["order_agreement"]
    now, before = found.get("r2"), found.get("evaluation_r2")
    known = now is not None and before is not None
    return [
        quantization_checks.Check(
            name="mean_abs_difference",
            found=mean,
            limit=MEAN_TOLERANCE,
            sentence=f"{name} differs by {mean:.1%} of its range in the mean",
        ),
        quantization_checks.Check(
            name="order_agreement",
            found=order,
            limit=quantization_checks.allow_one_change(
                ORDER, found["pairs_apart"]
            ),
            at_least=True,
            sentence=f"{quantization_checks.format_share(order)} of the pairs "
            f"of pictures that differ clearly in {name} keep their "
            "order",
        ),
        quantization_checks.Check(
            name="r2_loss",
            found=before - now if known else None,
            limit=R2_LOSS,
            sentence=f"R² of {name} {now:.3f} instead of {before:.3f}"
            if known
            else "",
        ),
    ]
