"""Prepares the fit stages of `--stages`, before any picture is decoded."""

from tf_finetune import errors
from tf_finetune.adaptation import method
from tf_finetune.config import fit_stage_options, train_config
from tf_finetune.model import assembly, freeze_boundary
from tf_finetune.runs import context as contexts


def prepare_stages(
    config: train_config.TrainConfig, built: assembly.Assembly
) -> tuple[contexts.PreparedStage, ...]:
    """Finds the trained variables and the freeze boundary of each fit stage.

    Args:
        config: Config of a run with `--stages`.
        built: The pretrained network.

    Returns:
        One entry for each stage that trains by gradient steps, in order.

    Raises:
        UsageError: A stage names layers that the network does not have, or
            trains no variable that the stage before it does not train.
    """
    found: list[contexts.PreparedStage] = []
    for options in fit_stage_options.parse_stages(config.training.stages):
        adapted = _adapt_network(config, built, options)
        _require_new_variables(config, found, options, adapted)
        moving = {*adapted.trained, *built.head_layers}
        found.append(
            contexts.PreparedStage(
                options=options,
                adapted=adapted,
                boundary=freeze_boundary.find_boundary(built.trainer, moving),
            )
        )
    return tuple(found)


def _adapt_network(
    config: train_config.TrainConfig,
    built: assembly.Assembly,
    options: fit_stage_options.FitStageOptions,
) -> method.Adapted:
    """Prepares the network for one stage, as for a run of that stage alone."""
    single = fit_stage_options.make_stage_config(config, options)
    adapt = method.get_method(single.model.adaptation)
    try:
        return adapt(built, single.model)
    except errors.UsageError as error:
        raise errors.UsageError(
            f"--stages: the stage {options.name}, whose layers are read as "
            f"those of --trainable, is not possible. {error}"
        ) from error


def _require_new_variables(
    config: train_config.TrainConfig,
    before: list[contexts.PreparedStage],
    options: fit_stage_options.FitStageOptions,
    adapted: method.Adapted,
) -> None:
    """Raises `UsageError` if a stage trains nothing new."""
    # The head trains in every stage; a random one is new to the first.
    if not before and config.training.head_init == "random":
        return
    earlier = _list_variables(before[-1].adapted) if before else set()
    if _list_variables(adapted) - earlier:
        return
    other = (
        f"that the stage before it ({before[-1].options.name}) does not train"
        if before
        else "of the backbone"
    )
    raise errors.UsageError(
        f"--stages: the stage {options.name} trains no weight {other}. Name "
        "layers with weights that train (batch norms do not, unless "
        "--freeze_batch_norm=false), another adapter, or leave the stage out."
    )


def _list_variables(adapted: method.Adapted) -> set[int | str]:
    """Lists the trained variables, by identity or by an adapter's names."""
    if adapted.adapter:
        # The numbers of two stages are two variables with one name.
        return {*adapted.adapter.numbers}
    return {id(each) for some in adapted.trained.values() for each in some}
