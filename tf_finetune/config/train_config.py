"""All options of a training run, in groups."""

import dataclasses
import pathlib
from typing import Literal

from tf_finetune.config import (
    conditions,
    data_options,
    model_options,
    option_types,
    options,
    recipe_options,
    teacher_options,
    training_options,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class InterruptionOptions:
    """Checkpoints of a run, its reaction to signals, recovery from NaN.

    The help text of each field documents it. An impossible value raises
    `UsageError`.
    """

    checkpoint_every_steps: int | None = options.option(
        None,
        "Write a checkpoint after every so many steps of fine-tuning too; "
        "none: after every epoch only. The result is the same.",
        used_by=conditions.FINE_TUNING,
    )
    keep_checkpoints: int = options.option(
        2,
        "Keep this many checkpoints; damaged ones are skipped.",
        used_by=conditions.FINE_TUNING,
    )
    grace_seconds: float = options.option(
        30.0,
        "After SIGTERM, wait at most this long for the step to end and its "
        "checkpoint to be written; Ctrl-C waits until it is pressed again.",
    )
    max_recoveries: int = options.option(
        2,
        "When the loss becomes NaN or infinite, go back to the last checkpoint "
        "and halve the learning rate, at most this many times.",
        used_by=conditions.FINE_TUNING,
    )

    def __post_init__(self) -> None:
        option_types.require_range(self, "checkpoint_every_steps", at_least=0)
        option_types.require_range(self, "keep_checkpoints", at_least=1)
        option_types.require_range(self, "grace_seconds", above=0)
        option_types.require_range(self, "max_recoveries", at_least=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """Folders of results and caches, and conditions on the result.

    The help text of each field documents it. An impossible value raises
    `UsageError`.
    """

    workdir: str = options.option(
        "",
        "Folder of the results; an unfinished run in it is continued.",
        used_by=conditions.EVERY_RUN,
    )
    cache_dir: str = options.option(
        "~/.cache/tf_finetune",
        "Folder of features shared between runs.",
        used_by=conditions.EVERY_RUN,
    )
    cache: Literal["auto", "on", "off"] = options.option(
        "auto",
        "Compute the layers below the first one that trains once, not in "
        "every epoch; auto measures both ways and takes the cheaper one.",
        used_by=conditions.FINE_TUNING,
        in_recipe=True,
    )
    cache_gb: float = options.option(
        20.0,
        "Disk space for the features of all runs, GB; the least recently "
        "used are removed first.",
    )
    overwrite: bool = options.option(
        False,
        "Replace the run that --workdir holds.",
        used_by=conditions.EVERY_RUN,
    )
    tensorboard: bool = options.option(
        False,
        "Also write TensorBoard events (needs the extra [tensorboard]).",
        used_by=conditions.FINE_TUNING,
    )
    withhold_test: bool = options.option(
        False,
        "Leave the test pictures out of the evaluation, as a choice among runs "
        "must; `evaluate --workdir=…` evaluates them later.",
    )
    plan: bool = options.option(
        False, "Print the plan of the run and its cost, then stop."
    )
    fail_below: tuple[str, ...] = options.option(
        (),
        "Exit with status 3 unless METRIC:VALUE is reached, e.g. "
        "accuracy:0.9 (on test where it exists, else on validation).",
    )
    fail_if_not_better_than: str | None = options.option(
        None,
        "Exit with status 3 unless the result beats probe, or the run in "
        "another workdir.",
    )

    def __post_init__(self) -> None:
        option_types.require_range(self, "cache_gb", above=0)

    @property
    def cache_folder(self) -> pathlib.Path:
        """`cache_dir` as a path with "~" expanded."""
        return pathlib.Path(self.cache_dir).expanduser()


GRADIENT_BASED = ("feature_distillation", "fixmatch")
"""Objectives on unlabeled pictures that act in gradient steps only."""

_SEMI_SUPERVISED = (
    "ada_bn", teacher_options.OBJECTIVE, *GRADIENT_BASED, "pseudo_label",
)  # fmt: skip
_OBJECTIVES = (teacher_options.SUPERVISED, *_SEMI_SUPERVISED)


@dataclasses.dataclass(frozen=True, kw_only=True)
class UnlabeledOptions(teacher_options.TeacherOptions):
    """Unlabeled pictures, the objective that learns from them, and a teacher.

    The help text of each field documents it. An impossible value raises
    `UsageError`.
    """

    unlabeled_data: str = options.option(
        "",
        "Pictures without labels: a folder, searched through, or a quoted "
        "pattern such as 'photos/**/*.jpg'.",
        used_by={"objective": _SEMI_SUPERVISED},
    )
    objective: str | None = options.option(
        None,
        "How to learn from --unlabeled_data: supervised (not at all), "
        "pseudo_label, fixmatch, feature_distillation, ada_bn or, with "
        "--teacher, distillation; none: that or pseudo_label where there are "
        "such pictures. The run without them is the baseline, and the better "
        "one is kept.",
        names_part=True,
        known_parts=_OBJECTIVES,
    )
    pseudo_label_share: float = options.option(
        0.8,
        "Share of the pictures predicted as a class that are "
        "trained on as that class, the most confident ones of each.",
        used_by={"objective": ("pseudo_label",)},
    )
    confidence: float = options.option(
        0.95,
        "Train on pseudo-labels of at least this probability.",
        used_by={"objective": ("fixmatch",)},
    )
    unlabeled_ratio: int = options.option(
        3,
        "Unlabeled pictures beside each labeled one of a step.",
        used_by={"objective": GRADIENT_BASED},
    )
    unlabeled_weight: float = options.option(
        1.0,
        "Weight of the unlabeled pictures' loss beside that of "
        "the labeled pictures.",
        used_by={"objective": GRADIENT_BASED},
    )

    def __post_init__(self) -> None:
        option_types.require_range(
            self, "pseudo_label_share", above=0, at_most=1
        )
        option_types.require_range(self, "confidence", above=0, at_most=1)
        option_types.require_range(self, "unlabeled_ratio", at_least=1)
        option_types.require_range(self, "unlabeled_weight", at_least=0)

    @property
    def effective_objective(self) -> str:
        """The objective; its default depends on `unlabeled_data`, `teacher`."""
        if self.objective is not None:
            return self.objective
        if not self.unlabeled_data:
            return teacher_options.SUPERVISED
        return teacher_options.OBJECTIVE if self.teacher else "pseudo_label"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """All options of `python -m tf_finetune.train`.

    The help text of each field of the nested configs documents it. An
    impossible value raises `UsageError`.
    """

    data: data_options.DataOptions = options.group(
        data_options.DataOptions, "data"
    )
    model: model_options.ModelOptions = options.group(
        model_options.ModelOptions, "model"
    )
    training: training_options.TrainingOptions = options.group(
        training_options.TrainingOptions, "training"
    )
    output: OutputOptions = options.group(OutputOptions, "output")
    interruptions: InterruptionOptions = options.group(
        InterruptionOptions, "interruptions"
    )
    unlabeled: UnlabeledOptions = options.group(
        UnlabeledOptions, "pictures without labels, and a teacher"
    )
    recipe: recipe_options.RecipeOptions = options.group(
        recipe_options.RecipeOptions, "settings chosen from the data"
    )
    seed: int = options.option(
        0, "Seed of every random draw.", used_by=conditions.EVERY_RUN
    )

    def __post_init__(self) -> None:
        option_types.require_range(self, "seed", at_least=0, below=2**31)
        if self.recipe.recipe_skip:
            # Loaded only here: it needs this module.
            from tf_finetune.config import given_options

            given_options.check_skipped(self.recipe.recipe_skip)
        if self.recipe.recipe == "auto":
            _ = self.recipe.budget_seconds  # Raises for an impossible one.

    @property
    def uses_recipe(self) -> bool:
        """Whether the run chooses settings from its data (`--recipe=auto`)."""
        asks = self.recipe.recipe == "auto"
        return asks and not recipe_options.explain_no_recipe(self)

    @property
    def adaptations(self) -> tuple[str, ...]:
        """Methods of fine-tuning: `--adaptation`, or those of the stages."""
        if not self.training.stages:
            return (self.model.adaptation,)
        # Loaded only here: a run of one stage needs none of it.
        from tf_finetune.config import fit_stage_options

        return fit_stage_options.list_adaptations(self)

    @property
    def has_gradient_steps(self) -> bool:
        """Whether the run trains by gradient steps after solving the head.

        An objective of the user's own counts as trained by steps.
        """
        if self.training.stages:
            return True
        objective = self.unlabeled.effective_objective
        moves = (
            not self.model.trains_head_only
            or self.training.head_init == "random"
            or objective in GRADIENT_BASED
        )
        return bool(self.training.epochs and moves) or (
            objective not in _OBJECTIVES
        )


def list_own_parts(config: TrainConfig) -> dict[str, str]:
    """Returns the components of the user's own that a config names, by option.

    They are the values of the form "package.module:attribute".
    """
    values = options.collect_values(config)
    return {
        name: values[name]
        for name, field, _, _ in options.list_options(TrainConfig)
        if field.metadata["names_part"] and ":" in (values[name] or "")
    }
