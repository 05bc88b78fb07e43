"""Candidates of a fusion of rows, and their predictions on every split."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from tf_finetune.data import pipeline
from tf_finetune.model import inference
from tf_finetune.runs import context as contexts
from tf_finetune.runs import fit_stages
from tf_finetune.tasks.regression.rows import (
    fusion_parts,
    row_pictures,
    row_table,
    stacking,
)

NETWORK = "network"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fusion:
    """The solved parts and the predictions of all candidates.

    Attributes:
        joined: The rows by split.
        predictions: By candidate and split, standardized targets [n, targets].
        alone: The same of every single part.
        solved_parts: The parts.
        stacks: By candidate; none of the network.
    """

    joined: Mapping[str, row_pictures.JoinedRows]
    predictions: Mapping[str, Mapping[str, np.ndarray]]
    alone: Mapping[str, Mapping[str, np.ndarray]]
    solved_parts: fusion_parts.FusionParts
    stacks: Mapping[str, stacking.Stack]


def solve_parts(
    context: contexts.RunContext,
    found: Mapping[str, row_pictures.JoinedRows],
    chosen: fit_stages.Candidate,
) -> Fusion:
    """Solves the parts on the training rows and predicts with each candidate.

    Args:
        context: The run, with the better weights in its model.
        found: The rows by split.
        chosen: The candidate whose weights the model has.
    """
    rows = {split: _load_rows(context, each) for split, each in found.items()}
    forward = context.task.network.transform.forward
    targets = forward(found["train"].targets)
    solved = fusion_parts.solve_parts(
        rows["train"],
        targets,
        places=context.config.data.image_column,
        groups=found["train"].groups,
        seed=context.config.seed,
    )
    alone = {split: solved(each) for split, each in rows.items()}
    stacks = fusion_parts.build_candidates(solved, targets)
    said = {
        name: {split: stack(each) for split, each in alone.items()}
        for name, stack in stacks.items()
    }
    said[NETWORK] = _predict_with_network(context, found, rows, chosen)
    return Fusion(
        joined=found,
        predictions=said,
        alone={
            name: {split: each[name] for split, each in alone.items()}
            for name in alone["train"]
        },
        solved_parts=solved,
        stacks=stacks,
    )


def _load_rows(
    context: contexts.RunContext, joined: row_pictures.JoinedRows
) -> fusion_parts.RowInputs:
    features = context.cache.features.rows(joined.names).all()
    numbers, words = row_table.stack_inputs(joined.rows)
    return fusion_parts.RowInputs(
        features=features.reshape(len(joined.rows), -1, features.shape[-1]),
        numbers=numbers,
        words=words,
    )


def _predict_with_network(
    context: contexts.RunContext,
    found: Mapping[str, row_pictures.JoinedRows],
    rows: Mapping[str, fusion_parts.RowInputs],
    chosen: fit_stages.Candidate,
) -> dict[str, np.ndarray]:
    """Returns the network's prediction of a row: the mean over its pictures."""
    said = {}
    for split, joined in found.items():
        if chosen.name == "probe":  # Its features are cached.
            features = rows[split].features
            flat = features.reshape(-1, features.shape[-1])
            each = inference.predict_rows(context.assembly.head, flat)
        else:
            images = pipeline.build_evaluation_images(
                joined.paths,
                image_size=context.image_size,
                resize=context.config.model.resize,
                pixels=context.config.model.pixels,
                batch_size=context.config.training.batch_size,
            )
            each = inference.predict(context.assembly.trainer, images)
        said[split] = each.reshape(len(joined.rows), -1, each.shape[-1]).mean(
            axis=1
        )
    return said
