"""Fits the head of a run on cached features: its first stage."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

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

_START = "start_"  # Begins the names of arrays that fine-tuning starts from.


@dataclasses.dataclass(frozen=True, kw_only=True)
class FittedHead:
    """Fitted head of a run.

    Attributes:
        evaluations: By split name, the evaluation of the head as it was fitted.
        start: Weights of the head, in Keras' order, from which fine-tuning
            starts; they may be more strongly regularized than those evaluated.
    """

    evaluations: split_evaluation.Evaluations
    start: Sequence[np.ndarray]


def fit_head(
    context: contexts.RunContext, rows: Mapping[str, stores.Rows]
) -> FittedHead:
    """Fits the head of a run in place and evaluates it on every split.

    Args:
        context: The run; the head of its model gets the weights.
        rows: By split name, the cached features, one row a picture in the order
            of the split.

    Returns:
        The evaluations, and the weights from which fine-tuning starts.
    """
    built = context.assembly
    solution = solve_head(context, rows["train"])
    head_fit.set_solution(built.head, solution)
    # The head alone: its inputs are in the cache.
    network = inference.compile_step(built.head)
    evaluations = split_evaluation.evaluate_logits(
        context,
        rows,
        lambda split: _stream_logits(network, rows[split], built.features),
    )
    return FittedHead(
        evaluations=evaluations, start=solution.start or solution.weights
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
        # Sorted file names keep the order of the weights.
        start = tuple(
            saved[name] for name in sorted(saved) if name.startswith(_START)
        )
        weights = tuple(
            saved[name] for name in sorted(saved) if name.isdecimal()
        )
        return problems.Solution(
            weights=weights, how="as the chief solved it", start=start or None
        )
    model = copy_to_one_device(context.assembly.head, context.strategy)
    problem = _make_problem(context, model, features)
    if context.config.model.keeps_classes:
        # Loaded only where classes of an earlier run are kept.
        from tf_finetune.runs import kept_classes

        found = kept_classes.solve_head(context, problem)
    else:
        found = head_fit.solve_or_train(problem)
    if replicas.find_worker(context.strategy)[1] > 1:
        arrays = {f"{i:02d}": w for i, w in enumerate(found.weights)}
        for i, start in enumerate(found.start or ()):
            arrays[f"{_START}{i:02d}"] = start
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


def choose_solver(context: contexts.RunContext) -> str:
    """Returns the name of the method that fits the head of a run.

    Args:
        context: The run.

    Returns:
        The task's solver for a linear head, such as "logistic"; "steps"
        (training by gradient steps) for other heads.
    """
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
        solver=choose_solver(context),
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
        start_strength=_choose_start(context),
    )


def _choose_start(
    context: contexts.RunContext,
) -> float | Literal["auto", "probe"] | None:
    """Returns `--head_start_strength`; None: nothing starts from the head."""
    options = context.config.training
    starts = context.fine_tunes and options.head_init == "probe"
    return options.head_start_strength if starts else None
