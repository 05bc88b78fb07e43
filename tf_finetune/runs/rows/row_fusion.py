"""Fuses the pictures and columns of a table's rows in one model.

The network is trained on single pictures, each with the targets of its row.
Here its pictures and columns are stacked; the stack is kept if it beats
pictures alone, columns alone and the network on validation.
"""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from absl import logging

from tf_finetune import files
from tf_finetune.exports.keras_files import keras_archive
from tf_finetune.metrics import candidate_selection
from tf_finetune.runs import context as contexts
from tf_finetune.runs import fit_stages
from tf_finetune.runs.rows import fused_inputs, fusion_candidates
from tf_finetune.tasks.regression.rows import (
    column_features,
    fused_model,
    row_pictures,
    row_table,
)


def fuse_rows(
    context: contexts.RunContext,
    learnt: fit_stages.FitResult,
    chosen: fit_stages.Candidate,
    figures: Mapping[str, Any],
) -> dict[str, Any]:
    """Solves, chooses, saves and evaluates the model of whole rows.

    Args:
        context: The run, with the better weights in its model.
        learned: Its probe's backbone gives the features.
        chosen: The candidate whose weights the model has.
        figures: Of single pictures.

    Returns:
        Figures of rows, which replace those of pictures; as they are where a
        row is one picture and nothing else.
    """
    options = context.config.data
    if not row_table.has_row_inputs(options):
        return dict(figures)
    found, left_out = row_pictures.join_pictures(
        row_table.read_table(options), context.data
    )
    for where, reason in left_out.items():
        logging.warning("%s is left out of the fusion: %s", where, reason)
    fusion = fusion_candidates.solve_parts(context, found, chosen)
    judged = {
        name: {
            s: _evaluate_rows(context, found[s], z) for s, z in by_split.items()
        }
        for name, by_split in fusion.predictions.items()
    }
    measures = context.task.figures
    kept = _select_candidate(context, found["validation"], fusion)
    model = _build_model(context, learnt, fusion, kept)
    fused_inputs.check_fused_model(
        context, model, found["validation"], fusion.predictions[kept]
    )
    result = _merge_figures(context, figures, judged, kept)
    result["fusion"] = {
        "kept": kept,
        "rows": {split: len(each.rows) for split, each in found.items()},
        "left_out": left_out,
        "parts": _list_contributions(context, fusion, kept),
    }
    with files.replacing(context.place.fused_model) as temporary:
        keras_archive.save_archive(model, temporary, context.data.class_names)
    fused_inputs.write_fused_json(context, model, found)
    _write_predictions(context, found, fusion.predictions[kept])
    files.write_json(context.place.evaluation, result)
    for split, each in judged[kept].items():
        measures.draw(each, context.data.class_names, context.place.path, split)
    return result


def _select_candidate(
    context: contexts.RunContext,
    joined: row_pictures.JoinedRows,
    fusion: fusion_candidates.Fusion,
) -> str:
    """Returns the name of the best candidate on the validation rows."""
    measures, finish = context.task.figures, context.task.network.finish
    found = candidate_selection.select_candidate(
        {
            name: measures.evidence(
                joined.targets, finish(by_split["validation"])
            )
            for name, by_split in fusion.predictions.items()
        },
        seed=context.config.seed,
    )
    logging.info("rows, on validation: kept: %s (%s)", found.name, found.reason)
    return found.name


def _write_predictions(
    context: contexts.RunContext,
    found: Mapping[str, row_pictures.JoinedRows],
    said: Mapping[str, np.ndarray],
) -> None:
    """Writes the predictions of the rows outside the training split."""
    answers, rows, truths = context.task.answers, [], []
    for split, joined in found.items():
        if split != "train":
            rows += answers.build_rows(
                [row.paths[0] for row in joined.rows],
                context.task.network.finish(said[split]),
                context.data.class_names,
            )
            truths += [row.targets for row in joined.rows]
    answers.write(context.place.predictions, rows, truths)


def _evaluate_rows(
    context: contexts.RunContext,
    joined: row_pictures.JoinedRows,
    said: np.ndarray,
) -> dict[str, Any]:
    return context.task.figures.compute_figures(
        joined.targets,
        context.task.network.finish(said),
        context.data.class_names,
        seed=context.config.seed,
    )


def _build_model(
    context: contexts.RunContext,
    learnt: fit_stages.FitResult,
    fusion: fusion_candidates.Fusion,
    kept: str,
) -> keras.Model:
    row = fusion.joined["train"].rows[0]
    shape = fused_model.RowShape(
        pictures=len(row.paths), numbers=len(row.numbers), words=len(row.words)
    )
    transform = context.task.network.transform
    if kept == fusion_candidates.NETWORK:
        copy = _copy_model(context.assembly.trainer)
        return fused_model.build_from_network(copy, transform, shape)
    # The parts were solved on features of the pretrained network, also where
    # the model of single pictures was fine-tuned.
    whole = context.assembly.model
    now = whole.get_weights()  # Set back: all models share them.
    whole.set_weights(list(learnt.probe.weights))
    copy = _copy_model(context.assembly.extractor)
    whole.set_weights(now)
    return fused_model.build_model(
        copy, fusion.solved_parts, fusion.stacks[kept], transform, shape
    )


def _copy_model(model: keras.Model) -> keras.Model:
    # Keras would clone the compiled loss too, which it cannot deserialize.
    plain = keras.Model(model.inputs, model.outputs[0], name=model.name)
    copy = keras.models.clone_model(plain)
    copy.set_weights(plain.get_weights())
    return copy


def _merge_figures(
    context: contexts.RunContext,
    figures: Mapping[str, Any],
    judged: Mapping[str, Mapping[str, Any]],
    kept: str,
) -> dict[str, Any]:
    measures = context.task.figures
    result = {**figures, "kept": f"fusion: {kept}"}
    for split, each in judged[kept].items():
        result[split] = {
            **each,
            "yardsticks": {
                **figures[split]["yardsticks"],
                "single_pictures": measures.summary(figures[split]),
                **{
                    name: measures.summary(by_split[split])
                    for name, by_split in judged.items()
                },
            },
        }
    return result


def _list_contributions(
    context: contexts.RunContext, fusion: fusion_candidates.Fusion, kept: str
) -> dict[str, Any]:
    """Returns the weight of each part, by target, and its R² alone."""
    stack = fusion.stacks.get(kept)  # None where the network is kept.
    forward = context.task.network.transform.forward
    found = {}
    for name, by_split in fusion.alone.items():
        weights = [0.0] * len(context.data.class_names)
        if stack is not None:
            weights = stack.weights[stack.parts.index(name)].tolist()
        found[name] = {
            "weights": weights,
            "alone": {
                split: column_features.compute_r2(
                    forward(fusion.joined[split].targets), said
                )
                for split, said in by_split.items()
            },
        }
    return found
