"""Folds of the pictures that a teacher with a solved head has learned.

Its head is solved again without each fold, as in cross-validation, so that a
picture gets the logits of a head that has not seen it.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping

import numpy as np
from absl import logging

from tf_finetune.data import examples
from tf_finetune.runs import context as contexts
from tf_finetune.runs import teacher as teachers
from tf_finetune.solvers import head_problem as problems
from tf_finetune.solvers import linear_probe, probe_per_label

# To be raised when other logits come out of the same teacher and pictures.
_VERSION = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Folds:
    """Training pictures in folds.

    Attributes:
        pictures: All training pictures that the teacher has learned.
        targets: [n, outputs] their targets, in the order of the teacher's
            outputs.
        fold_of: By SHA-256, the fold of a picture; one that is in no fold is
            left out.
        key: Hash of everything that out-of-fold logits depend on, 32
            hexadecimal digits.
    """

    pictures: tuple[examples.Picture, ...]
    targets: np.ndarray
    fold_of: Mapping[str, int]
    key: str


def draw_folds(
    teacher: teachers.Teacher, context: contexts.RunContext
) -> Folds | None:
    """Divides the training pictures that a solved teacher has learned.

    Args:
        teacher: The teacher.
        context: The run, whose training pictures are all labeled.

    Returns:
        Up to five folds, stratified by class; None, with a warning where the
        teacher has learned some of the pictures, if there are none.
    """
    train = context.data.split("train")
    own = {picture.sha256 for picture in train}
    if not teacher.learned & own:
        return None
    reason = _find_obstacle(teacher, context, own)
    if not reason:
        folds = _make_folds(teacher, context)
        # Without folds: a class has one picture, which no head may miss.
        if folds.fold_of:
            return folds
        reason = "a class has a single picture"
    logging.warning(
        "teacher: it was trained on %d of the %d training pictures, and may be "
        "surer of these than of new ones; its own logits are used, since %s",
        len(teacher.learned & own),
        len(own),
        reason,
    )
    return None


def solve_heads(
    folds: Folds, features: np.ndarray, context: contexts.RunContext
) -> list[problems.LinearHead]:
    """Solves a head without the pictures of each fold.

    Args:
        folds: The folds.
        features: [n, width], inputs of the teacher's head, of `folds.pictures`.
        context: The run; its task names the solver.

    Returns:
        One head a fold, for the teacher's outputs in their order.
    """
    fold_of = np.array(
        [folds.fold_of.get(p.sha256, -1) for p in folds.pictures]
    )
    # Pictures of a group, or of equal content, stay on one side.
    keys = np.array([p.group or p.sha256 for p in folds.pictures])
    solve = _SOLVERS[context.task.network.solver]
    logging.info(
        "teacher: its head was solved on training pictures of this run; each "
        "of them gets the logits of a head that was solved without it (%d "
        "folds)",
        fold_of.max() + 1,
    )
    return [
        solve(
            features[fold_of != fold],
            folds.targets[fold_of != fold],
            groups=keys[fold_of != fold].tolist(),
            class_weight=context.config.training.class_weight,
            seed=context.config.seed,
        )
        for fold in range(fold_of.max() + 1)
    ]


def _find_obstacle(
    teacher: teachers.Teacher, context: contexts.RunContext, own: set[str]
) -> str:
    """Returns why there can be no out-of-fold logits; empty if there can."""
    if not teacher.is_probe:
        return "it is more than a head solved on them"
    if teacher.features is None:
        return "its head has several layers"
    if not teacher.learned <= own:
        return "it was trained on others, too"
    width = teacher.features.output_shape[-1]
    if not linear_probe.is_small(len(own), width, len(teacher.order)):
        return "there are too many to solve its head again"
    return ""


def _make_folds(
    teacher: teachers.Teacher, context: contexts.RunContext
) -> Folds:
    train = context.data.split("train")
    known = np.array([p.sha256 in teacher.learned for p in train])
    pictures = tuple(p for p in train if p.sha256 in teacher.learned)
    targets = context.targets("train").values[known]
    # Folds are stratified by class; several labels have none.
    exclusive = context.task.network.activation == "softmax"
    labels = targets.argmax(axis=1) if exclusive else np.zeros(len(targets))
    seed = context.config.seed
    keys = [p.group or p.sha256 for p in pictures]
    drawn = linear_probe.make_folds(labels.astype("int64"), keys, seed)
    fold_of = {
        pictures[place].sha256: fold
        for fold, (_, held_out) in enumerate(drawn)
        for place in held_out
    }
    # Everything that the logits depend on, for the key of the cache.
    facts = [
        _VERSION,
        teacher.key,
        context.task.network.solver,
        context.config.training.class_weight,
        seed,
        [[p.sha256, *row] for p, row in zip(pictures, targets.tolist(),
                                            strict=True)],
        sorted(fold_of.items()),
    ]  # fmt: skip
    return Folds(
        pictures=pictures,
        # The place of each of the teacher's outputs among the student's.
        targets=targets[:, np.argsort(teacher.order)],
        fold_of=fold_of,
        key=hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32],
    )


def _solve_classes(
    features: np.ndarray, targets: np.ndarray, **settings: object
) -> problems.LinearHead:
    return linear_probe.solve(features, targets.argmax(axis=1), **settings)


_SOLVERS: Mapping[str, Callable[..., problems.LinearHead]] = {
    "logistic": _solve_classes,
    "logistic_per_label": probe_per_label.solve,
}
