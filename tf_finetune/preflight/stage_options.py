"""Checks of `--stages` that need neither pictures nor TensorFlow."""

from collections.abc import Sequence

from tf_finetune import errors
from tf_finetune.adaptation import catalog as adaptation
from tf_finetune.config import fit_stage_options, teacher_options, train_config


def check_stages(config: train_config.TrainConfig) -> None:
    """Checks the fit stages of a run, and the options that act on them.

    Args:
        config: All options of a run with `--stages`.

    Raises:
        UsageError: A stage is not in the notation, trains nothing that the one
            before it does not train, or contradicts another option.
    """
    entries = config.training.stages
    stages = fit_stage_options.parse_stages(entries)
    for stage in stages:
        _check_layers(config, stage)
    _check_adaptation(config, stages)
    _check_head(config, stages)
    rate = config.training.learning_rate
    if rate is not None and fit_stage_options.have_own_rates(entries):
        raise errors.UsageError(
            f"--learning_rate={rate:g} is not read: every stage of --stages="
            f"{','.join(entries)} has a rate of its own. Leave --learning_rate "
            "out, or the rate (@…) of the stages that are to take it."
        )
    objective = config.unlabeled.effective_objective
    if objective != teacher_options.SUPERVISED:
        raise errors.UsageError(
            f"--stages is not possible with --objective={objective}, which "
            "trains in one stage. Use --trainable and --epochs, or leave "
            "--unlabeled_data out."
        )


def _check_layers(
    config: train_config.TrainConfig, stage: fit_stage_options.FitStageOptions
) -> None:
    """Raises `UsageError` if a run of the stage alone is refused, too."""
    try:
        single = fit_stage_options.make_stage_config(config, stage)
        adaptation.check_options(single.model)
    except errors.UsageError as error:
        raise errors.UsageError(
            f"--stages: the stage {stage.name}, whose layers are read as those "
            f"of --trainable, is not possible. {error}"
        ) from error


def _check_adaptation(
    config: train_config.TrainConfig,
    stages: Sequence[fit_stage_options.FitStageOptions],
) -> None:
    """Raises `UsageError` for an `--adaptation` that no stage reads."""
    word, given = fit_stage_options.CHOSEN_ADAPTER, config.model.adaptation
    if given == "freeze" or any(each.adaptation == word for each in stages):
        return
    raise errors.UsageError(
        f"--adaptation={given} is not read: no stage of --stages="
        f"{','.join(config.training.stages)} is called {word}. Write such a "
        f"stage ({word}:8, or {word}/top:8), or leave --adaptation out: layers "
        "in --stages train themselves."
    )


def _check_head(
    config: train_config.TrainConfig,
    stages: tuple[fit_stage_options.FitStageOptions, ...],
) -> None:
    """Raises `UsageError` if a stage contradicts `--head_init`."""
    is_random = config.training.head_init == "random"
    if is_random and config.training.stages[0] == fit_stage_options.SOLVED_HEAD:
        raise errors.UsageError(
            "--head_init=random starts from a random head, and head, the first "
            "of --stages, is the solved one. Leave one of them out; head:3 "
            "trains the random head for 3 epochs."
        )
    for stage in stages:
        if {*stage.trainable} == {"head"} and not is_random:
            raise errors.UsageError(
                f"--stages: head:{stage.epochs} trains the head alone, which "
                "is solved without epochs. Give head without epochs, or "
                "--head_init=random."
            )
