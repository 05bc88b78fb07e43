"""All options of a training run, in groups."""

import dataclasses

from tf_finetune.config import (
    data_options,
    interruption_options,
    model_options,
    options,
    output_options,
    training_options,
    unlabeled_options,
    value_checks,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """All options of `python -m tf_finetune.train`."""

    data: data_options.DataOptions = options.group(
        data_options.DataOptions, "data"
    )
    model: model_options.ModelOptions = options.group(
        model_options.ModelOptions, "model"
    )
    training: training_options.TrainingOptions = options.group(
        training_options.TrainingOptions, "training"
    )
    output: output_options.OutputOptions = options.group(
        output_options.OutputOptions, "output"
    )
    interruptions: interruption_options.InterruptionOptions = options.group(
        interruption_options.InterruptionOptions, "interruptions"
    )
    unlabeled: unlabeled_options.UnlabeledOptions = options.group(
        unlabeled_options.UnlabeledOptions, "pictures without labels"
    )
    seed: int = options.option(0, "Seed of every random draw.")

    def __post_init__(self) -> None:
        value_checks.require_range(self, "seed", at_least=0, below=2**31)


def list_own_parts(config: TrainConfig) -> dict[str, str]:
    """Returns the user's own parts that a run names, by option."""
    values = options.collect_values(config)
    return {
        name: values[name]
        for name, field, _, _ in options.list_options(TrainConfig)
        if field.metadata["names_part"] and ":" in (values[name] or "")
    }
