"""Judges a fine-tuned network at several places on the way to its weights."""

import types
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tf_finetune.evaluation import evaluate_split
from tf_finetune.model import assembly, inference
from tf_finetune.recipe_search import candidates
from tf_finetune.runs import boundary_activations, split_evaluation
from tf_finetune.runs import context as contexts

Activations = boundary_activations.BoundaryActivations | None
"""Cached activations to evaluate on; None: pictures are decoded."""

DIVERGED: Mapping[str, Any] = types.MappingProxyType(
    {
        "log_loss": float("nan"),
        "accuracy": 0.0,
        "start_log_loss": float("nan"),
        "interpolate": 1.0,
        "uninterpolated": float("nan"),
        "block_losses": (),
    }
)
"""Figures of a trial that diverged."""


def judge_shares(
    context: contexts.RunContext,
    activations: Activations,
    start: Sequence[np.ndarray],
    shares: Sequence[float],
) -> dict[str, Any]:
    """Evaluates a fine-tuned classifier at the best share of the way.

    Args:
        context: The run; its model has the fine-tuned weights, and ends with
            those of the best share.
        activations: Cached activations of validation, if there are any.
        start: Weights from which fine-tuning started, in Keras' order.
        shares: Values of `--interpolate`, the first of which is taken among
            equal ones.

    Returns:
        The figures of a `candidates.Trial` that depend on the weights, at the
        share with the lowest log loss on validation.
    """
    weights = context.assembly.model.weights
    end = assembly.copy_values(weights)
    losses = {}
    for share in (*shares, 0.0):
        _assign(weights, start, end, share)
        losses[share] = _measure_log_loss(context, activations)
    at_start = losses.pop(0.0)
    best = min(losses, key=losses.get)
    _assign(weights, start, end, best)
    found = _evaluate(context, activations)
    # Predictions that are not finite have no figures.
    measured = [*losses.values(), at_start]
    if found.figures is None or not np.isfinite(measured).all():
        return dict(DIVERGED)
    rows = found.evidence().losses
    blocks = np.array_split(rows, min(len(rows), candidates.MOST_BLOCKS))
    return {
        "log_loss": found.figures["log_loss"],
        "accuracy": found.figures["accuracy"],
        "start_log_loss": at_start,
        "interpolate": best,
        "uninterpolated": losses[max(losses)],
        "block_losses": tuple(float(block.mean()) for block in blocks),
    }


def _assign(
    weights: Sequence[Any],
    start: Sequence[np.ndarray],
    end: Sequence[np.ndarray],
    share: float,
) -> None:
    values = assembly.interpolate_values(start, end, share)
    assembly.assign_values(weights, values)


def _measure_log_loss(
    context: contexts.RunContext, activations: Activations
) -> float:
    """Returns the log loss on validation alone, without intervals and checks.

    NaN where a prediction is.
    """
    pictures = context.data.split("validation")
    if activations is None:
        images = split_evaluation.load_images(
            pictures, context.config, image_size=context.image_size
        )
        batches = inference.stream_predictions(
            context.networks.predictions, images
        )
    else:
        logits = activations.stream_logits(context, "validation")
        batches = map(context.task.network.finish, logits)
    rows = np.concatenate([np.asarray(each, "float64") for each in batches])
    labels = np.asarray(context.data.class_indices(pictures))
    certain = rows[np.arange(len(labels)), labels]
    # -ln p(true class), finite where p underflows to 0.
    return float(-np.log(np.maximum(certain, 1e-38)).mean())


def _evaluate(
    context: contexts.RunContext, activations: Activations
) -> evaluate_split.SplitEvaluation:
    if activations is None:
        return split_evaluation.evaluate_model(context, "validation")
    return split_evaluation.evaluate_logits(
        context,
        ["validation"],
        lambda split: activations.stream_logits(context, split),
    )["validation"]
