"""Serves an exported run: `python -m tf_finetune.serve --help`."""

from tf_finetune import front_door, printing
from tf_finetune.config import serve


def main(config: serve.ServeConfig) -> None:
    """Serves until it is told to stop."""
    from tf_finetune.serving import starting

    starting.serve_run(config, report=printing.show)


if __name__ == "__main__":
    front_door.run(
        main,
        serve.ServeConfig,
        purpose="Serves an exported run as TensorFlow Serving does, with a "
        "page to try it:\n"
        "  python -m tf_finetune.serve --workdir=runs/flowers --port=8501",
    )
