"""Predicts with a finished run: `python -m tf_finetune.predict --help`."""

from tf_finetune import front_door, printing
from tf_finetune.config import use as options


def main(config: options.PredictConfig) -> None:
    """Predicts and writes or prints one row a picture."""
    from tf_finetune import use

    use.predict_run(config, report=printing.show)


if __name__ == "__main__":
    front_door.run(
        main,
        options.PredictConfig,
        purpose="Predicts the class of pictures with a finished run:\n"
        "  python -m tf_finetune.predict --workdir=runs/flowers "
        "--data='holiday/*.jpg' --output=holiday.csv",
    )
