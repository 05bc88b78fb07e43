"""Head of a run that keeps classes of an earlier one (`--classes=keep`)."""

import numpy as np
from absl import logging

from tf_finetune import errors
from tf_finetune.config import train_config
from tf_finetune.runs import context as contexts
from tf_finetune.solvers import added_classes, linear_probe
from tf_finetune.solvers import head_problem as problems
from tf_finetune.weights import class_plan, weights_source


def describe_plan(context: contexts.RunContext) -> str:
    """Describes the origin of each class (kept or new) as a titled table.

    Args:
        context: The run, with `--classes=keep`.
    """
    plan = make_plan(context.config, context.data.class_names)
    return (
        f"classes of {context.config.model.weights} (--classes=keep): "
        f"{plan.summarize()}\n{plan.format_table()}"
    )


def make_plan(
    config: train_config.TrainConfig, names: tuple[str, ...]
) -> class_plan.ClassPlan:
    """Plans the origin of each class of a run with `--classes=keep`.

    Args:
        config: The run's config; `weights` is the workdir of the earlier run.
        names: Classes of the run's pictures.

    Raises:
        UsageError: The earlier run has no head to take over, or no class in
            common with this one.
    """
    path = weights_source.parse_source(config.model.weights).path
    place = class_plan.check_earlier_run(path, config.model.task)
    mapping = class_plan.parse_class_map(config.model.class_map)
    return class_plan.plan_classes(names, place.class_names(), mapping)


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
    plan = make_plan(context.config, context.data.class_names)
    path = weights_source.parse_source(context.config.model.weights).path
    kernel, bias = class_plan.take_columns(
        plan,
        *class_plan.read_head(
            class_plan.check_earlier_run(path, context.config.model.task),
            problem.features.width,
        ),
    )
    logging.info(
        "classes by name: %s\n%s", plan.summarize(), plan.format_table()
    )
    new = plan.new_places
    how = f"{plan.summarize()} (--classes=keep)"
    if not new:
        return problems.Solution(weights=(kernel, bias), how=how)
    _check_size(problem, len(new))
    rows = problem.features.all()
    found = added_classes.solve_columns(
        rows,
        problem.targets.values.argmax(axis=1),
        rows @ kernel + bias,
        new,
        groups=problem.groups,
        class_weight=problem.config.training.class_weight,
        seed=problem.config.seed,
    )
    kernel[:, new] = found.kernel.astype("float32")
    bias[new] = found.bias.astype("float32")
    return problems.Solution(
        weights=(np.asarray(kernel), np.asarray(bias)),
        how=f"{how}; new classes by logistic regression at its optimum, "
        f"strength C={found.strength:g}",
    )


def _check_size(problem: problems.Problem, new: int) -> None:
    count, width = len(problem.features), problem.features.width
    if not linear_probe.is_small(count, width, new):
        raise errors.UsageError(
            f"--classes=keep solves {new} new classes on {count:,} pictures of "
            f"{width:,} features, which is too much for its solver. Lower "
            "--max_train_per_class."
        )
