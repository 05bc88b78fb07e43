"""Fine-tunes a pretrained network: `python -m tf_finetune.train --help`."""

from tf_finetune import front_door, stopping
from tf_finetune.config import train


def main(config: train.TrainConfig) -> None:
    """Trains, evaluates and prints where the results lie."""
    from tf_finetune import workflow

    with stopping.listening(config.interruptions.grace_seconds, at_once=True):
        workflow.train_run(config, report=print)


if __name__ == "__main__":
    front_door.run(
        main,
        train.TrainConfig,
        purpose="Fine-tunes a pretrained network on your own pictures:\n"
        "  python -m tf_finetune.train --data=flowers/ --backbone=resnet50",
    )
