"""Fuses the inputs of a table's rows in one model, at the end of a run.

The network is trained on single pictures, each with the label of its row. Here
its pictures and the columns are stacked; the stack is kept if it beats the
inputs of each block alone and the network on validation.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from absl import logging

from tf_finetune import errors, files
from tf_finetune.exports import export_files
from tf_finetune.inputs import fused_model, input_protocol, input_rows
from tf_finetune.metrics import candidate_selection
from tf_finetune.model import assembly, inference
from tf_finetune.runs import (
    candidates,
    fusion_candidates,
    parity_record,
    split_evaluation,
)
from tf_finetune.runs import context as contexts

_COMPARED_ROWS = 4  # Rows that the fused model is compared on.
_PARITY_ROWS = 16  # Rows that exports are checked on.
# Of logits, in the largest deviation of one; float32 sums in another order stay
# far below it.
_TOLERANCE = 1e-3


def fuse_inputs(
    context: contexts.RunContext,
    learned: candidates.FitResult,
    chosen: candidates.Candidate,
    figures: Mapping[str, Any],
) -> dict[str, Any]:
    """Fits a model on all inputs of a table's rows and keeps the best fusion.

    A fusion combines a row's pictures and other columns. Heads on some of the
    inputs are solved on the training rows, and so are stacks, weighted sums of
    their logits. The best stack, or the network, its logits averaged over a
    row's pictures, is selected on the validation rows. Rows that cannot be
    used are left out with a warning.

    It writes the fused model, predictions.csv, evaluation.json and the rows
    that exports are checked on to the workdir.

    Args:
        context: The run, with the weights of `chosen` in its model.
        learned: Result of training. A stack gets its features from the
            pretrained network, with the weights of `learned.probe`.
        chosen: The candidate whose weights the model has.
        figures: Metrics of single pictures, as `results.evaluate_splits`
            returns them.

    Returns:
        A new dict with the keys of `figures`, now with metrics of rows, and
        "fusion": what was kept, numbers of rows, rows left out, parts. The
        metrics of single pictures are among the baselines of each split.

    Raises:
        RunError: The saved model's logits differ by more than rounding from
            those that were evaluated.
    """
    joined, left_out = input_rows.join_pictures(
        input_rows.read_table(context.config.data), context.data
    )
    for where, reason in left_out.items():
        logging.warning("%s is left out of the fusion: %s", where, reason)
    data = input_rows.make_row_data(context.data, joined)
    context = dataclasses.replace(context, data=data)
    fusion = fusion_candidates.solve_candidates(context, joined, chosen.name)
    evaluations = {
        name: _evaluate(context, by_split)
        for name, by_split in fusion.logits.items()
    }
    kept = _select_candidate(context, evaluations)
    model = _build_model(context, learned, fusion, kept)
    _check_model(context, model, joined, fusion.logits[kept])
    result = _merge_figures(context, figures, evaluations, kept)
    result["fusion"] = {
        "kept": kept,
        "rows": {split: len(each.rows) for split, each in joined.items()},
        "left_out": left_out,
        **_describe_parts(context, fusion, kept),
    }
    _write_results(context, model, joined, evaluations[kept], result)
    return result


def _evaluate(
    context: contexts.RunContext, logits: Mapping[str, np.ndarray]
) -> split_evaluation.Evaluations:
    """Evaluates a candidate on every split, by its decision on validation."""
    finish = context.task.network.finish
    found = split_evaluation.compare_with_labels(
        context, "validation", [finish(logits["validation"])]
    )
    return {
        split: found
        if split == "validation"
        else split_evaluation.compare_with_labels(
            context, split, [finish(each)], found.decision
        )
        for split, each in logits.items()
    }


def _select_candidate(
    context: contexts.RunContext,
    evaluations: Mapping[str, split_evaluation.Evaluations],
) -> str:
    """Returns the name of the best candidate on the validation rows."""
    found = candidate_selection.select_candidate(
        {
            name: by_split["validation"].evidence()
            for name, by_split in evaluations.items()
        },
        seed=context.config.seed,
    )
    logging.info("rows, on validation: kept: %s (%s)", found.name, found.reason)
    return found.name


def _build_model(
    context: contexts.RunContext,
    learned: candidates.FitResult,
    fusion: fusion_candidates.Fusion,
    kept: str,
) -> keras.Model:
    inputs = input_protocol.list_inputs(context.config.data)
    finish = context.task.network.predictions
    if kept == fusion_candidates.NETWORK:
        copy = _copy_model(context.assembly.trainer)
        return fused_model.build_from_network(inputs, copy, finish)
    # The parts were solved on features of the pretrained network, also where
    # the model of single pictures was fine-tuned.
    weights = context.assembly.model.weights
    with assembly.keep_values(weights):
        assembly.assign_values(weights, learned.probe.weights)
        copy = _copy_model(context.assembly.extractor)
    stack = fusion.stacks[kept]
    return fused_model.build_model(inputs, copy, fusion.parts, stack, finish)


def _copy_model(model: keras.Model) -> keras.Model:
    # Keras would clone the compiled loss too, which it cannot deserialize.
    plain = keras.Model(model.inputs, model.outputs[0], name=model.name)
    copy = keras.models.clone_model(plain)
    assembly.assign_values(copy.weights, plain.weights)
    return copy


def _check_model(
    context: contexts.RunContext,
    model: keras.Model,
    joined: Mapping[str, input_rows.JoinedRows],
    logits: Mapping[str, np.ndarray],
) -> None:
    """Compares the fused model on real pictures with the solved parts.

    Raises:
        RunError: They differ by more than rounding.
    """
    rows = joined["validation"].rows[:_COMPARED_ROWS]
    # Compared before the output layers, where numbers of all tasks are alike.
    tensor = context.task.network.find_logits(model)
    got = _predict(context, keras.Model(model.input, tensor), rows)
    expected = logits["validation"]
    scale = max(float(expected.std(axis=0).max()), 1e-6)
    difference = float(np.abs(got - expected[: len(rows)]).max()) / scale
    logging.info(
        "fused model check: logits of %d rows from pictures and from the "
        "cache agree to %.1e standard deviations",
        len(rows),
        difference,
    )
    if not difference <= _TOLERANCE:
        folder = context.config.output.cache_folder
        raise errors.RunError(
            "The fused model does not compute what was solved: its logits "
            f"differ by {difference:.1e} standard deviations. Run `python -m "
            f"tf_finetune.cache --cache_dir={folder} --clear=all` and repeat "
            "the command; if that does not help, please report it."
        )


def _predict(
    context: contexts.RunContext,
    model: keras.Model,
    rows: list[input_rows.Row],
) -> np.ndarray:
    batches = fused_model.stream_batches(
        input_protocol.list_inputs(context.config.data),
        rows,
        context.square,
        batch_size=_COMPARED_ROWS,
    )
    return inference.predict(model, batches)


def _merge_figures(
    context: contexts.RunContext,
    figures: Mapping[str, Any],
    evaluations: Mapping[str, split_evaluation.Evaluations],
    kept: str,
) -> dict[str, Any]:
    summarize = context.task.figures.summary
    result = {**figures, "kept": f"fusion: {kept}"}
    if decision := evaluations[kept]["validation"].decision:
        result["decision"] = dict(decision)
    for split, found in evaluations[kept].items():
        result[split] = {
            **found.figures,
            "baselines": {
                **figures[split]["baselines"],
                "single_pictures": summarize(figures[split]),
                **{
                    name: summarize(by_split[split].figures)
                    for name, by_split in evaluations.items()
                },
            },
        }
    return result


def _describe_parts(
    context: contexts.RunContext, fusion: fusion_candidates.Fusion, kept: str
) -> dict[str, Any]:
    """Returns the weight of each part by output, and its figure alone."""
    stack = fusion.stacks.get(kept)  # None where the network is kept.
    outputs = len(context.data.class_names)
    found = {}
    for name, by_split in fusion.alone.items():
        judged = {s: _judge(context, s, each) for s, each in by_split.items()}
        weights = np.zeros(outputs)
        if stack is not None:
            weights = stack.weights[stack.parts.index(name)]
        found[name] = {
            "weights": weights.tolist(),
            # All examples count once: the figure itself.
            "alone": {
                split: float(each.value(np.ones([1, len(each.losses)]))[0])
                for split, each in judged.items()
            },
        }
        figure = judged["validation"].figure
    return {"figure": figure, "parts": found}


def _judge(
    context: contexts.RunContext, split: str, logits: np.ndarray
) -> candidate_selection.Evidence:
    judged = context.task.figures.create_evaluator(
        context.data, split, seed=context.config.seed
    )
    judged.add(context.task.network.finish(logits))
    return judged.evidence()


def _write_results(
    context: contexts.RunContext,
    model: keras.Model,
    joined: Mapping[str, input_rows.JoinedRows],
    evaluations: split_evaluation.Evaluations,
    result: Mapping[str, Any],
) -> None:
    """Writes the model, rows to check exports on, predictions and figures."""
    place, data = context.place, context.data
    decision = evaluations["validation"].decision
    task = context.task.with_decision(decision)
    with files.replacing(place.fusion_model) as temporary:
        export_files.save_keras(model, temporary, data.class_names, decision)
    last = data.splits[-1]
    indices = parity_record.choose_indices(data, _PARITY_ROWS)
    proving = [joined[last].rows[index] for index in indices]
    kept = _predict(context, model, proving)
    parity_record.write_record(place, task, data, kept, joined[last])
    rows, truths = [], []
    for split, found in evaluations.items():
        task.figures.draw(found.figures, data.class_names, place.path, split)
        rows += found.rows
        if found.rows:  # The training split has none.
            truths += [each.label for each in data.split(split)]
    task.answers.write(place.predictions, rows, truths)
    files.write_json(place.evaluation, result)
