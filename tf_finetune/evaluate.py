"""Evaluates a finished run: `python -m tf_finetune.evaluate --help`."""

from tf_finetune import front_door, printing
from tf_finetune.config import use as options


def main(config: options.EvaluateConfig) -> None:
    """Evaluates and prints the tables."""
    from tf_finetune import use

    use.evaluate_run(config, report=printing.show)


if __name__ == "__main__":
    front_door.run(
        main,
        options.EvaluateConfig,
        purpose="Evaluates a finished run, on its own splits or others:\n"
        "  python -m tf_finetune.evaluate --workdir=runs/flowers "
        "--data=more_flowers/",
    )
