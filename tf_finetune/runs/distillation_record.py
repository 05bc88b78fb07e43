"""The distillation.json of a run, and the teacher's figures beside the probe's.

It is written before fine-tuning, with the teacher's fingerprint, and completed
at the end, with the student's figures and its agreement with the teacher.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from absl import logging

from tf_finetune import errors, files
from tf_finetune.model import inference
from tf_finetune.runs import candidates, split_evaluation
from tf_finetune.runs import context as contexts
from tf_finetune.workdir import json_schema

_FILE = "distillation.json"
_RECORD = json_schema.Record(
    {
        "teacher": json_schema.Record(
            {"fingerprint": json_schema.Text(longest=100)}
        )
    }
)


def require_same_teacher(context: contexts.RunContext, key: str) -> None:
    """Checks that an unfinished run began with the same teacher.

    Args:
        context: The run; its workdir may hold the record of its beginning.
        key: Fingerprint of the teacher now.

    Raises:
        UsageError: It began with another one.
    """
    shared = context.shared
    try:
        found = shared.content(shared.path / _FILE, _RECORD, megabytes=16)
    # A new run has no record yet.
    except (FileNotFoundError, NotADirectoryError):
        return
    if found["teacher"]["fingerprint"] != key:
        raise errors.UsageError(
            f"--teacher={context.config.unlabeled.teacher} has changed since "
            f"the unfinished run in --workdir={shared.path} began. Start it "
            "anew with --overwrite."
        )


def begin_record(
    context: contexts.RunContext, probe: candidates.Candidate
) -> None:
    """Writes the record before fine-tuning; warns of a teacher that is worse.

    Where the run is repeated with unlabeled pictures, nothing is written again.

    Args:
        context: The run, with its teacher.
        probe: The solved head of the student, evaluated on validation.
    """
    if context.distillation.unlabeled:
        return
    measures, own = context.task.figures, probe.evaluations["validation"]
    judged = _evaluate_teacher(context, "validation")
    told = (
        f"on validation the teacher has {measures.format_brief(judged)}, the "
        f"student's probe {measures.format_brief(own.figures)}"
    )
    logging.info("distillation: %s", told)
    if measures.merit(judged) < measures.merit(own.figures):
        logging.warning(
            "The teacher is worse than the student before it learns: %s. "
            "Leave --teacher out, or name a better one.",
            told,
        )
    _write(context, _describe(context, probe, judged))


def complete_record(
    context: contexts.RunContext, figures: Mapping[str, Any]
) -> None:
    """Adds the student's figures and its agreement with the teacher.

    Args:
        context: The run, with the weights of the kept candidate in its model.
        figures: The content of evaluation.json.
    """
    shared = context.shared
    kind = json_schema.Record()
    record = shared.content(shared.path / _FILE, kind, megabytes=16)
    # The teacher may have learned the training pictures.
    splits = [each for each in context.data.splits if each != "train"]
    summary = context.task.figures.summary
    teacher = {
        split: summary(_evaluate_teacher(context, split)) for split in splits
    }
    record["teacher"]["figures"] = teacher
    record["student"] = {
        "kept": figures["kept"],
        "figures": {split: summary(figures[split]) for split in splits},
    }
    record["agreement"] = {
        split: _measure_agreement(context, split) for split in splits
    }
    _write(context, record)


def _describe(
    context: contexts.RunContext,
    probe: candidates.Candidate,
    judged: Mapping[str, Any],
) -> dict[str, Any]:
    """Returns the content of the record before fine-tuning."""
    options, found = context.config.unlabeled, context.distillation
    teacher, folds = found.logits.teacher, found.logits.folds
    summary = context.task.figures.summary
    held_out = None
    if folds:
        held_out = {
            "pictures": len(folds.fold_of),
            "folds": 1 + max(folds.fold_of.values()),
            "figures": summary(_evaluate_teacher(context, "train")),
        }
    return {
        "teacher": {
            "path": str(teacher.source.path),
            "kind": teacher.source.kind,
            "fingerprint": teacher.key,
            "image_size": teacher.square.size,
            "figures": {"validation": summary(judged)},
            "out_of_fold": held_out,
        },
        "distill": found.kind,
        "temperature": options.distill_temperature,
        "weight": options.distill_weight,
        "views": context.config.training.num_views,
        "probe": {"validation": summary(
            probe.evaluations["validation"].figures
        )},
    }  # fmt: skip


def _evaluate_teacher(
    context: contexts.RunContext, split: str
) -> dict[str, Any]:
    """Returns the teacher's figures on a split."""
    predictions = [_predict_teacher(context, split)]
    found = split_evaluation.compare_with_labels(context, split, predictions)
    if found.figures is None:
        raise errors.RunError(
            f"--teacher={context.config.unlabeled.teacher} predicts NaN or "
            "infinite values. Name another teacher, or train it again."
        )
    return found.figures


def _predict_teacher(context: contexts.RunContext, split: str) -> np.ndarray:
    """Returns the teacher's predictions of the unaugmented pictures."""
    (logits,) = context.distillation.logits.compute(
        context.data.split(split), 1
    )
    return context.task.network.finish(logits)


def _measure_agreement(context: contexts.RunContext, split: str) -> float:
    """Returns the share of equal answers of student and teacher.

    Answers are the likeliest classes, or of independent labels each label.
    """
    images = split_evaluation.load_images(
        context.data.split(split),
        context.config,
        image_size=context.image_size,
    )
    found = inference.predict_batches(context.networks.predictions, images)
    theirs = _predict_teacher(context, split)
    if context.task.network.activation == "softmax":
        return float(np.mean(found.argmax(axis=1) == theirs.argmax(axis=1)))
    # Independent labels: each is given from one half on.
    return float(np.mean((found >= 0.5) == (theirs >= 0.5)))


def _write(context: contexts.RunContext, record: Mapping[str, Any]) -> None:
    # A worker that is not the chief writes to a folder of its own.
    files.write_json(context.place.path / _FILE, dict(record))
