"""The head of a run, solved by the chief for all workers."""

import dataclasses

import keras
import numpy as np

from tf_finetune import files
from tf_finetune.cache import store as stores
from tf_finetune.runs import course as courses
from tf_finetune.training import head, replicas
from tf_finetune.training.solvers import problem as problems


def solution(
    course: courses.Course, features: stores.Rows
) -> problems.Solution:
    """Returns the solved head; the chief solves it and the others read it."""
    path = course.shared.checkpoints / "head.npz"
    if not course.is_chief:
        with np.load(path, allow_pickle=False) as saved:
            weights = tuple(saved[name] for name in sorted(saved.files))
        return problems.Solution(weights=weights, how="as the chief solved it")
    model = course.built.head
    if course.strategy.num_replicas_in_sync > 1:
        # A stage on one device; its variables must not lie on all.
        model = keras.models.clone_model(model)
        model.set_weights(course.built.head.get_weights())
    found = head.solve(_problem(course, model, features))
    if replicas.worker_of(course.strategy)[1] > 1:
        arrays = {f"{i:02d}": w for i, w in enumerate(found.weights)}
        with files.replacing(path) as temporary:
            np.savez(temporary, **arrays)
    return found


def _problem(
    course: courses.Course, model: keras.Model, features: stores.Rows
) -> problems.Problem:
    network, names = course.task.network, course.data.class_names
    # The head's own loss: what --loss says is for what comes afterwards.
    plain = dataclasses.replace(
        course.config.training, loss="auto", label_smoothing=0.0
    )
    return problems.Problem(
        model=model,
        solver=network.solver,
        features=features,
        layout=course.built.features,
        targets=course.targets("train"),
        loss=network.loss(plain, names, course.described),
        judged_by=network.loss(plain, names, None),
        groups=[
            picture.group or picture.sha256
            for picture in course.data.split("train")
        ],
        config=course.config,
    )
