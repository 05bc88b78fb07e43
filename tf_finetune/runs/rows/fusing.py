"""Fuses the pictures and columns of a table's rows in one model.

The network is trained on single pictures, each with the targets of its row.
Here its pictures and columns are stacked; the stack is kept if it beats
pictures alone, columns alone and the network on validation.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from absl import logging

from tf_finetune import files, inference
from tf_finetune.data import pipeline
from tf_finetune.evaluation import choices
from tf_finetune.exporting.keras_files import keras_archive
from tf_finetune.runs import course as courses
from tf_finetune.runs import learning
from tf_finetune.runs.rows import inputs
from tf_finetune.tasks.regression.rows import (
    columns,
    fused,
    joining,
    parts,
    stacking,
    table,
)

NETWORK = "network"


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Fusion:
    """The solved parts and the predictions of all candidates.

    Attributes:
        joined: The rows by split.
        said: By candidate and split, standardized targets [n, targets].
        alone: The same of every single part.
        solved: The parts.
        stacks: By candidate; none of the network.
    """

    joined: Mapping[str, joining.Joined]
    said: Mapping[str, Mapping[str, np.ndarray]]
    alone: Mapping[str, Mapping[str, np.ndarray]]
    solved: parts.Parts
    stacks: Mapping[str, stacking.Stack]


def fuse(
    course: courses.Course,
    learnt: learning.Learnt,
    chosen: learning.Candidate,
    figures: Mapping[str, Any],
) -> dict[str, Any]:
    """Solves, chooses, saves and evaluates the model of whole rows.

    Args:
        course: The run, with the better weights in its model.
        learned: Its probe's backbone gives the features.
        chosen: The candidate whose weights the model has.
        figures: Of single pictures.

    Returns:
        Figures of rows, which replace those of pictures; as they are where a
        row is one picture and nothing else.
    """
    options = course.config.data
    if not table.is_asked(options):
        return dict(figures)
    found, left_out = joining.joined(table.read(options), course.data)
    for where, reason in left_out.items():
        logging.warning("%s is left out of the fusion: %s", where, reason)
    fusion = _solved(course, found, chosen)
    judged = {
        name: {s: _judged(course, found[s], z) for s, z in by_split.items()}
        for name, by_split in fusion.said.items()
    }
    measures = course.task.figures
    kept = _kept(course, found["validation"], fusion)
    model = _model(course, learnt, fusion, kept)
    inputs.check(course, model, found["validation"], fusion.said[kept])
    result = _figures(course, figures, judged, kept)
    result["fusion"] = {
        "kept": kept,
        "rows": {split: len(each.rows) for split, each in found.items()},
        "left_out": left_out,
        "parts": _contributions(course, fusion, kept),
    }
    with files.replacing(course.place.fused) as temporary:
        keras_archive.save(model, temporary, course.data.class_names)
    inputs.write(course, model, found)
    _write_predictions(course, found, fusion.said[kept])
    files.write_json(course.place.evaluation, result)
    for split, each in judged[kept].items():
        measures.draw(each, course.data.class_names, course.place.path, split)
    return result


def _kept(
    course: courses.Course, joined: joining.Joined, fusion: _Fusion
) -> str:
    """Returns the name of the best candidate on the validation rows."""
    measures, finish = course.task.figures, course.task.network.finish
    found = choices.choose(
        {
            name: measures.evidence(
                joined.targets, finish(by_split["validation"])
            )
            for name, by_split in fusion.said.items()
        },
        seed=course.config.seed,
    )
    logging.info("rows, on validation: kept: %s (%s)", found.name, found.reason)
    return found.name


def _write_predictions(
    course: courses.Course,
    found: Mapping[str, joining.Joined],
    said: Mapping[str, np.ndarray],
) -> None:
    """Writes the predictions of the rows outside the training split."""
    answers, rows, truths = course.task.answers, [], []
    for split, joined in found.items():
        if split != "train":
            rows += answers.of(
                [row.paths[0] for row in joined.rows],
                course.task.network.finish(said[split]),
                course.data.class_names,
            )
            truths += [row.targets for row in joined.rows]
    answers.write(course.place.predictions, rows, truths)


def _solved(
    course: courses.Course,
    found: Mapping[str, joining.Joined],
    chosen: learning.Candidate,
) -> _Fusion:
    rows = {split: _rows(course, each) for split, each in found.items()}
    forward = course.task.network.transform.forward
    targets = forward(found["train"].targets)
    solved = parts.solve(
        rows["train"],
        targets,
        places=course.config.data.image_column,
        groups=found["train"].groups,
        seed=course.config.seed,
    )
    alone = {split: solved(each) for split, each in rows.items()}
    stacks = parts.candidates(solved, targets)
    said = {
        name: {split: stack(each) for split, each in alone.items()}
        for name, stack in stacks.items()
    }
    said[NETWORK] = _of_network(course, found, rows, chosen)
    return _Fusion(
        joined=found,
        said=said,
        alone={
            name: {split: each[name] for split, each in alone.items()}
            for name in alone["train"]
        },
        solved=solved,
        stacks=stacks,
    )


def _rows(course: courses.Course, joined: joining.Joined) -> parts.Rows:
    features = course.cache.features.rows(joined.names).all()
    numbers, words = table.arrays(joined.rows)
    return parts.Rows(
        features=features.reshape(len(joined.rows), -1, features.shape[-1]),
        numbers=numbers,
        words=words,
    )


def _of_network(
    course: courses.Course,
    found: Mapping[str, joining.Joined],
    rows: Mapping[str, parts.Rows],
    chosen: learning.Candidate,
) -> dict[str, np.ndarray]:
    """Returns the network's prediction of a row: the mean over its pictures."""
    said = {}
    for split, joined in found.items():
        if chosen.name == "probe":  # Its features are cached.
            features = rows[split].features
            flat = features.reshape(-1, features.shape[-1])
            each = inference.predict_rows(course.built.head, flat)
        else:
            images = pipeline.evaluation_images(
                joined.paths,
                image_size=course.image_size,
                resize=course.config.model.resize,
                pixels=course.config.model.pixels,
                batch_size=course.config.training.batch_size,
            )
            each = inference.predict(course.built.trainer, images)
        said[split] = each.reshape(len(joined.rows), -1, each.shape[-1]).mean(
            axis=1
        )
    return said


def _judged(
    course: courses.Course, joined: joining.Joined, said: np.ndarray
) -> dict[str, Any]:
    return course.task.figures.of(
        joined.targets,
        course.task.network.finish(said),
        course.data.class_names,
        seed=course.config.seed,
    )


def _model(
    course: courses.Course,
    learnt: learning.Learnt,
    fusion: _Fusion,
    kept: str,
) -> keras.Model:
    row = fusion.joined["train"].rows[0]
    shape = fused.Shape(
        pictures=len(row.paths), numbers=len(row.numbers), words=len(row.words)
    )
    transform = course.task.network.transform
    if kept == NETWORK:
        copy = _copied(course.built.trainer)
        return fused.of_network(copy, transform, shape)
    # The parts were solved on features of the pretrained network, also where
    # the model of single pictures was fine-tuned.
    whole = course.built.model
    now = whole.get_weights()  # Set back: all models share them.
    whole.set_weights(list(learnt.probe.weights))
    copy = _copied(course.built.extractor)
    whole.set_weights(now)
    return fused.build(
        copy, fusion.solved, fusion.stacks[kept], transform, shape
    )


def _copied(model: keras.Model) -> keras.Model:
    # Keras would clone the compiled loss too, which it cannot deserialize.
    plain = keras.Model(model.inputs, model.outputs[0], name=model.name)
    copy = keras.models.clone_model(plain)
    copy.set_weights(plain.get_weights())
    return copy


def _figures(
    course: courses.Course,
    figures: Mapping[str, Any],
    judged: Mapping[str, Mapping[str, Any]],
    kept: str,
) -> dict[str, Any]:
    measures = course.task.figures
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


def _contributions(
    course: courses.Course, fusion: _Fusion, kept: str
) -> dict[str, Any]:
    """Returns the weight of each part, by target, and its R² alone."""
    stack = fusion.stacks.get(kept)  # None where the network is kept.
    forward = course.task.network.transform.forward
    found = {}
    for name, by_split in fusion.alone.items():
        weights = [0.0] * len(course.data.class_names)
        if stack is not None:
            weights = stack.weights[stack.parts.index(name)].tolist()
        found[name] = {
            "weights": weights,
            "alone": {
                split: columns.explained(
                    forward(fusion.joined[split].targets), said
                )
                for split, said in by_split.items()
            },
        }
    return found
