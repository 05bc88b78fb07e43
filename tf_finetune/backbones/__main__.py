"""List of the pretrained networks: `python -m tf_finetune.backbones`."""

from tf_finetune import console_output
from tf_finetune.backbones import catalog


def main() -> None:
    """Prints the table of backbones."""
    console_output.show(catalog.format_table())


if __name__ == "__main__":
    console_output.prepare_streams()
    main()
