"""Fine-tunes a pretrained network: `python -m tf_finetune.train --help`."""

from collections.abc import Set

from tf_finetune import front_door, printing, stopping
from tf_finetune.config import options, train


def main(config: train.TrainConfig) -> None:
    """Trains, evaluates and prints where the results lie."""
    # Whether something has begun is known to who opens the workdir.
    with stopping.resumable(lambda: False):
        from tf_finetune import workflow

        workflow.train_run(config, report=printing.show)


def settle(config: train.TrainConfig, given: Set[str]) -> train.TrainConfig:
    """Returns what is asked for, idle lines of flagfiles left out.

    A workdir that only a flagfile names is numbered where it is taken.
    """
    from tf_finetune import checking, lifecycle

    config = checking.without_idle(config, given)
    if "workdir" in given:
        return config
    taken = lifecycle.numbered(checking.absolute(config))
    return options.replace(config, workdir=taken.output.workdir)


if __name__ == "__main__":
    front_door.run(
        main,
        train.TrainConfig,
        purpose="Fine-tunes a pretrained network on your own pictures:\n"
        "  python -m tf_finetune.train --data=flowers/ --backbone=resnet50",
        settle=settle,
    )
