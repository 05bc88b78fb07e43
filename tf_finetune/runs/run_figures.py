"""Figures of a run: the evaluation of every split, with its baselines."""

from typing import Any

from tf_finetune import files
from tf_finetune.runs import context as contexts
from tf_finetune.runs import fit_stages, parity_record, split_evaluation


def evaluate_splits(
    context: contexts.RunContext, result: fit_stages.RunResult
) -> dict[str, Any]:
    """Evaluates every split with its baselines; writes and returns it."""
    chosen = result.chosen
    figures: dict[str, Any] = {
        "kept": chosen.name,
        "data_fingerprint": context.data.fingerprint,
    }
    if chosen.decision:
        figures["decision"] = dict(chosen.decision)
    if result.facts:
        figures["unlabeled"] = result.facts
    task, rows, truths = context.task.with_decision(chosen.decision), [], []
    for split in context.data.splits:
        judged = chosen.evaluations.get(split)
        if judged is None:  # Learned from pictures, not from cached rows.
            judged = split_evaluation.evaluate_model(
                context, split, chosen.decision
            )
        figures[split] = {
            **judged.figures,
            "baselines": _summarize_baselines(context, split, result),
        }
        task.figures.draw(
            judged.figures, context.data.class_names, context.place.path, split
        )
        judged.draw(context.place.path)
        # The training split has no rows.
        rows += judged.rows
        if judged.rows:
            truths += [each.label for each in context.data.split(split)]
    # Of the splits that were not trained on.
    task.answers.write(context.place.predictions, rows, truths)
    parity_record.write_record(
        context.place, context.task, context.data, judged.kept
    )
    files.write_json(context.place.evaluation, figures)
    return figures


def _summarize_baselines(
    context: contexts.RunContext,
    split: str,
    result: fit_stages.RunResult,
) -> dict[str, Any]:
    measures = context.task.figures
    others = {"probe": result.fit_result.probe, **result.beside}
    return {
        **measures.compute_baselines(
            context.label_description, context.data, split
        ),
        **{
            name: measures.summary(other.evaluations[split].figures)
            for name, other in others.items()
        },
    }
