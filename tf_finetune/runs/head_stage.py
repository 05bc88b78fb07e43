"""Fits the head of a run on cached features: its first stage."""

import dataclasses
from collections.abc import Iterator, Mapping

import keras
import numpy as np
import tensorflow as tf

from tf_finetune import files
from tf_finetune.feature_cache import batches
from tf_finetune.feature_cache import store as stores
from tf_finetune.model import assembly, inference
from tf_finetune.runs import context as contexts
from tf_finetune.runs import split_evaluation
from tf_finetune.solvers import head_problem as problems
from tf_finetune.training import head_fit
from tf_finetune.training.distributed import replicas
from tf_finetune.workdir import array_files


def fit_head(
    context: contexts.RunContext, rows: Mapping[str, stores.Rows]
) -> split_evaluation.Evaluations:
    """Fits the head of a run in place and evaluates it on every split.

    Args:
        context: The run; the head of its model gets the weights.
        rows: By split name, the cached features, one row a picture in the order
            of the split.

    Returns:
        Evaluations by split name.
    """
    built = context.assembly
    head_fit.set_solution(built.head, solve_head(context, rows["train"]))
    # The head alone: its inputs are in the cache.
    network = inference.compile_step(built.head)
    return split_evaluation.evaluate_logits(
        context,
        rows,
        lambda split: _stream_logits(network, rows[split], built.features),
    )


def _stream_logits(
    network: inference.Step, rows: stores.Rows, layout: batches.RowLayout
) -> Iterator[np.ndarray]:
    for block in rows.iterate_blocks():
        yield np.asarray(inference.apply_step(network, layout.tensors(block)))


def solve_head(
    context: contexts.RunContext, features: stores.Rows
) -> problems.Solution:
    """Solves the head on the chief; other workers read its solution.

    The model of the run is left unchanged.

    Args:
        context: The run.
        features: Cached features of the training split, one row a picture.

    Returns:
        The weights of the head, in Keras' order, and how they were found.
    """
    path = context.shared.checkpoints / "head.npz"
    if not context.is_chief:
        saved = array_files.read_arrays(path, within=context.shared.path)
        weights = tuple(saved[name] for name in sorted(saved))
        return problems.Solution(weights=weights, how="as the chief solved it")
    model = copy_to_one_device(context.assembly.head, context.strategy)
    problem = _make_problem(context, model, features)
    if context.config.model.classes == "keep":
        # Loaded only where classes of an earlier run are kept.
        from tf_finetune.runs import kept_classes

        found = kept_classes.solve_head(context, problem)
    else:
        found = head_fit.solve_or_train(problem)
    # Sorted file names keep the order of the weights.
    if replicas.find_worker(context.strategy)[1] > 1:
        arrays = {f"{i:02d}": w for i, w in enumerate(found.weights)}
        with files.replacing(path) as temporary:
            np.savez(temporary, **arrays)
    return found


def copy_to_one_device(
    model: keras.Model, strategy: tf.distribute.Strategy | None
) -> keras.Model:
    """Copies a head so that its variables lie on one device.

    Args:
        model: The head, made in the scope of the strategy; left unchanged.
        strategy: The devices; None: no strategy is in use.

    Returns:
        A copy with the same weights where there are several replicas; else
        `model` itself.
    """
    if strategy is None or strategy.num_replicas_in_sync == 1:
        return model
    clone = keras.models.clone_model(model)
    assembly.assign_values(clone.weights, assembly.copy_values(model.weights))
    return clone


def _choose_solver(context: contexts.RunContext) -> str:
    """Returns the task's solver for a linear head; "steps" for other heads."""
    options = context.config.model
    is_linear = context.task.head(options.head) == "linear"
    if is_linear and not options.surgery.head_layers:
        return context.task.network.solver
    return "steps"


def _make_problem(
    context: contexts.RunContext, model: keras.Model, features: stores.Rows
) -> problems.Problem:
    network, names = context.task.network, context.data.class_names
    # The task's own loss: --loss and --label_smoothing are for fine-tuning.
    plain = dataclasses.replace(
        context.config.training, loss="auto", label_smoothing=0.0
    )
    return problems.Problem(
        model=model,
        solver=_choose_solver(context),
        features=features,
        layout=context.assembly.features,
        targets=context.targets("train"),
        loss=network.loss(plain, names, context.label_description),
        judged_by=network.loss(plain, names, None),
        # Pictures of a group stay on one side when it cross-validates.
        groups=[
            picture.group or picture.sha256
            for picture in context.data.split("train")
        ],
        config=context.config,
    )
