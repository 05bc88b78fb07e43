"""Solves the head of a run; the chief does so for all workers."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from tf_finetune import files
from tf_finetune.cache import store as stores
from tf_finetune.runs import array_files
from tf_finetune.runs import course as courses
from tf_finetune.training import head
from tf_finetune.training.distributed import replicas
from tf_finetune.training.solvers import problem as problems


def solution(
    course: courses.Course, features: stores.Rows
) -> problems.Solution:
    """Returns the solved head; the chief solves it, the others read it."""
    path = course.shared.checkpoints / "head.npz"
    if not course.is_chief:
        saved = array_files.read(path, within=course.shared.path)
        weights = tuple(saved[name] for name in sorted(saved))
        return problems.Solution(weights=weights, how="as the chief solved it")
    model = on_one_device(course.built.head, course.strategy)
    found = head.solve(_problem(course, model, features))
    # Sorted file names keep the order of the weights.
    if replicas.worker_of(course.strategy)[1] > 1:
        arrays = {f"{i:02d}": w for i, w in enumerate(found.weights)}
        with files.replacing(path) as temporary:
            np.savez(temporary, **arrays)
    return found


def on_one_device(
    model: keras.Model, strategy: tf.distribute.Strategy | None
) -> keras.Model:
    """Returns a head whose variables lie on one device.

    Args:
        model: Made in the scope of the strategy; it is left as it is.
        strategy: None: there is none.
    """
    if strategy is None or strategy.num_replicas_in_sync == 1:
        return model
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    return clone


def _problem(
    course: courses.Course, model: keras.Model, features: stores.Rows
) -> problems.Problem:
    network, names = course.task.network, course.data.class_names
    # The task's own loss: --loss and --label_smoothing are for fine-tuning.
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
        # Pictures of a group stay on one side when it cross-validates.
        groups=[
            picture.group or picture.sha256
            for picture in course.data.split("train")
        ],
        config=course.config,
    )
