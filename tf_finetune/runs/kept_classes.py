"""Head of a run that keeps classes of an earlier one (`--classes=keep`)."""

import contextlib
import dataclasses
from collections.abc import Sequence

import keras
import numpy as np
from absl import logging

from tf_finetune import errors
from tf_finetune.config import train_config
from tf_finetune.data import class_names, examples
from tf_finetune.runs import context as contexts
from tf_finetune.solvers import added_classes, class_impressions, linear_probe
from tf_finetune.solvers import head_problem as problems
from tf_finetune.training import held_columns, remembered_logits
from tf_finetune.weights import class_plan, earlier_head, weights_source
from tf_finetune.workdir import workdir_files


def describe_plan(context: contexts.RunContext) -> str:
    """Describes the origin of each class (kept or new) as a titled table.

    Args:
        context: The run, with `--classes=keep` or `keep_present`.
    """
    options = context.config.model
    plan = make_plan(context.config, context.data)
    text = (
        f"classes of {options.weights} (--classes={options.classes}): "
        f"{plan.summarize()}\n{plan.format_table()}"
    )
    if not plan.absent_places:
        return text
    return (
        f"{text}\nNothing measures how well classes without pictures are "
        f"recognized. {_describe_protection(context)}"
    )


def _describe_protection(context: contexts.RunContext) -> str:
    if context.fine_tunes:
        return (
            "Fine-tuning leaves them out of its softmax, their columns as they "
            "are, and keeps their logits on the pictures at hand near those "
            "of the solved head; --epochs=0 moves no feature that they read."
        )
    return "The backbone and their columns stay as they are."


def make_plan(
    config: train_config.TrainConfig, data: examples.ImageData
) -> class_plan.ClassPlan:
    """Plans the origin of each class of a run with `--classes=keep`.

    Args:
        config: The run's config; `weights` is the workdir of the earlier run.
        data: The run's pictures and classes.

    Raises:
        UsageError: The earlier run has no head to take over, or no class in
            common with this one.
    """
    # In any split: a class may have pictures in validation alone.
    present = {picture.label for picture in data.pictures}
    return class_plan.plan_classes(
        data.class_names,
        _check_earlier(config).class_names(),
        class_plan.parse_class_map(config.model.class_map),
        [name for name in data.class_names if name not in present],
    )


def _check_earlier(config: train_config.TrainConfig) -> workdir_files.Workdir:
    path = weights_source.parse_source(config.model.weights).path
    return earlier_head.check_earlier_run(path, config.model.task)


def solve_head(
    context: contexts.RunContext, problem: problems.Problem
) -> problems.Solution:
    """Takes over the columns of kept classes and solves those of new ones.

    Args:
        context: The run.
        problem: The head to fit; its model is left unchanged.

    Returns:
        Kernel and bias; columns of kept classes are bit-equal to those of the
        earlier run.

    Raises:
        UsageError: There are too many pictures to solve new classes.
        RunError: The earlier run's head cannot be read.
    """
    plan = make_plan(context.config, context.data)
    kernel, bias = earlier_head.take_columns(
        plan,
        *earlier_head.read_head(
            _check_earlier(context.config), problem.features.width
        ),
    )
    logging.info(
        "classes by name: %s\n%s", plan.summarize(), plan.format_table()
    )
    new, options = plan.new_places, context.config.model
    how = f"{plan.summarize()} (--classes={options.classes})"
    if not new:
        return problems.Solution(weights=(kernel, bias), how=how)
    rows = _gather_rows(context, problem, plan, kernel, bias)
    found = added_classes.solve_columns(
        rows.features,
        rows.labels,
        # Logits of the kept classes, with which new ones compete.
        rows.features @ kernel + bias,
        new,
        groups=rows.groups,
        example_weights=rows.weights,
        class_weight=problem.config.training.class_weight,
        seed=problem.config.seed,
    )
    # Columns of kept classes stay equal to the bit.
    kernel[:, new] = found.kernel.astype("float32")
    bias[new] = found.bias.astype("float32")
    beside = " beside imagined features of those without pictures"
    return problems.Solution(
        weights=(np.asarray(kernel), np.asarray(bias)),
        how=f"{how}; new classes by logistic regression at its optimum"
        f"{beside if plan.absent_places else ''}, strength "
        f"C={found.strength:g}",
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Rows:
    """Features [n, width], labels, groups and weights [n] of examples."""

    features: np.ndarray
    labels: np.ndarray
    groups: Sequence[str]
    weights: np.ndarray


def _gather_rows(
    context: contexts.RunContext,
    problem: problems.Problem,
    plan: class_plan.ClassPlan,
    kernel: np.ndarray,
    bias: np.ndarray,
) -> _Rows:
    """Returns the pictures' features and those imagined for absent classes."""
    absent, new = plan.absent_places, plan.new_places
    _check_size(problem, len(new), len(absent))
    rows = _Rows(
        features=problem.features.all(),
        labels=problem.targets.values.argmax(axis=1),
        groups=problem.groups,
        weights=np.ones(len(problem.features)),
    )
    if not absent:
        return rows
    _warn_of_lone_class(context, rows.labels)
    made = class_impressions.imagine_rows(
        rows.features,
        rows.labels,
        kernel,
        bias,
        kept=[each for each in range(len(bias)) if each not in new],
        absent=absent,
        seed=problem.config.seed,
    )
    return _Rows(
        features=np.concatenate([rows.features, made.rows]).astype("float32"),
        labels=np.concatenate([rows.labels, made.labels]),
        # A vector stays in the fold of the picture that it has the scatter of.
        groups=[*rows.groups, *(rows.groups[each] for each in made.origins)],
        weights=np.concatenate(
            [rows.weights, np.full(len(made.labels), made.weight)]
        ),
    )


def _warn_of_lone_class(
    context: contexts.RunContext, labels: np.ndarray
) -> None:
    if len(np.unique(labels)) > 1:
        return
    logging.warning(
        "All pictures are of the class %s: nothing but the earlier head tells "
        "it from the classes without pictures. Add a few pictures of these.",
        class_names.join_names([context.data.class_names[labels[0]]]),
    )


def _check_size(problem: problems.Problem, new: int, absent: int) -> None:
    count, width = len(problem.features), problem.features.width
    total = count + class_impressions.count_rows(count, absent)
    if not linear_probe.is_small(total, width, new):
        raise errors.UsageError(
            f"--classes solves {new} new classes on {total:,} pictures and "
            f"imagined ones of {width:,} features, which is too much for its "
            "solver. Lower --max_train_per_class."
        )


def hold_columns(
    context: contexts.RunContext,
) -> contextlib.AbstractContextManager:
    """Creates a context in which columns of classes without pictures stay.

    Args:
        context: The run; its head has the columns of the earlier one.
    """
    absent = make_plan(context.config, context.data).absent_places
    if not absent:
        return contextlib.nullcontext()
    layer = context.assembly.head.get_layer(earlier_head.LAYER)
    return held_columns.hold_columns(layer, absent)


def remember_logits(
    context: contexts.RunContext, network: keras.Model
) -> keras.Model:
    """Builds a model that keeps the logits of classes without pictures.

    Args:
        context: The run.
        network: The model that is to be trained, with its first weights.

    Returns:
        A model of the same layers; `network` where all classes have pictures.
    """
    absent = make_plan(context.config, context.data).absent_places
    if not absent:
        return network
    return remembered_logits.build_trainer(network, absent)
