"""List of the pretrained networks: `python -m tf_finetune.backbones`."""

from tf_finetune import printing
from tf_finetune.backbones import catalog


def main() -> None:
    """Prints the table of backbones."""
    printing.show(catalog.table())


if __name__ == "__main__":
    printing.prepare()
    main()
