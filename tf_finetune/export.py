"""Exports a finished run: `python -m tf_finetune.export --help`."""

from tf_finetune import front_door, printing
from tf_finetune.config import use as options


def main(config: options.ExportConfig) -> None:
    """Exports, proves the exports and prints where they lie."""
    from tf_finetune import use

    use.export_run(config, report=printing.show)


if __name__ == "__main__":
    front_door.run(
        main,
        options.ExportConfig,
        purpose="Exports a finished run and proves that the export computes "
        "the same:\n"
        "  python -m tf_finetune.export --workdir=runs/flowers "
        "--format=saved_model",
    )
