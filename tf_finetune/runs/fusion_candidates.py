"""Candidates of a fusion of inputs, and their logits on every split."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from tf_finetune.data import pipeline
from tf_finetune.inputs import (
    fusion_parts,
    head_solvers,
    input_protocol,
    input_rows,
    pictures,
)
from tf_finetune.model import inference
from tf_finetune.runs import context as contexts

NETWORK = "network"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fusion:
    """Solved heads of a table's inputs, and the logits of all candidates.

    Attributes:
        parts: The solved fusion parts: one head for each picture column, for
            the joined pictures, and for the other columns.
        stacks: By candidate name, the weighted sum of the parts' logits; the
            candidate "network" has none.
        logits: By candidate name, then by split name, [rows, outputs].
        alone: By part name, then by split name, [rows, outputs], the logits of
            that part alone.
    """

    parts: fusion_parts.FusionParts
    stacks: Mapping[str, head_solvers.Stack]
    logits: Mapping[str, Mapping[str, np.ndarray]]
    alone: Mapping[str, Mapping[str, np.ndarray]]


def solve_candidates(
    context: contexts.RunContext,
    joined: Mapping[str, input_rows.JoinedRows],
    chosen: str,
) -> Fusion:
    """Solves the fusion parts on the training rows and computes all logits.

    Args:
        context: The run, with `chosen`'s weights in its model and rows of the
            table as the examples of its data.
        joined: The rows of the table by split name.
        chosen: Name of the candidate whose weights the model has, "probe" or
            "fine_tune".

    Returns:
        The solved parts, and each candidate's logits on every split.
    """
    inputs = input_protocol.list_inputs(context.config.data)
    solver = head_solvers.find_solver(context.task.network.solver)
    values = {s: _load_values(context, each) for s, each in joined.items()}
    # Solvers compute in float64.
    targets = context.targets("train").values.astype("float64")
    parts = fusion_parts.solve_parts(
        inputs,
        values["train"],
        targets,
        solver=solver,
        groups=joined["train"].groups,
        class_weight=context.config.training.class_weight,
        seed=context.config.seed,
    )
    alone = {s: parts.compute_logits(each) for s, each in values.items()}
    stacks = fusion_parts.build_candidates(parts, targets, solver)
    logits = {
        name: {split: stack(each) for split, each in alone.items()}
        for name, stack in stacks.items()
    }
    logits[NETWORK] = {
        split: _apply_network(context, joined[split], each, chosen)
        for split, each in values.items()
    }
    return Fusion(
        parts=parts,
        stacks=stacks,
        logits=logits,
        alone={
            name: {split: each[name] for split, each in alone.items()}
            for name in alone["train"]
        },
    )


def _load_values(
    context: contexts.RunContext, joined: input_rows.JoinedRows
) -> dict[str, np.ndarray]:
    """Returns the values of rows by input; of pictures cached features."""
    inputs = input_protocol.list_inputs(context.config.data)
    features = context.cache.features.rows(joined.names).all()
    return {
        **input_rows.stack_rows(inputs, joined.rows),
        pictures.NAME: features.reshape(len(joined.rows), -1),
    }


def _apply_network(
    context: contexts.RunContext,
    joined: input_rows.JoinedRows,
    values: fusion_parts.Values,
    chosen: str,
) -> np.ndarray:
    """Returns the network's logits of rows: the mean over their pictures."""
    if chosen == "probe":  # Its features are cached.
        features = values[pictures.NAME]
        # The features of a row's pictures stand one behind the other.
        width = features.shape[1] // len(joined.pictures[0])
        flat = features.reshape(-1, width)
        each = inference.predict_rows(context.assembly.head, flat)
    else:
        images = pipeline.build_evaluation_images(
            [path for row in joined.rows for path in row.paths],
            context.square,
            batch_size=context.config.training.batch_size,
        )
        each = inference.predict(context.assembly.trainer, images)
    return each.reshape(len(joined.rows), -1, each.shape[-1]).mean(axis=1)
