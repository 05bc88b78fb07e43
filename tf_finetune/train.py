"""Fine-tunes a pretrained network: `python -m tf_finetune.train --help`."""

from tf_finetune import commands

if __name__ == "__main__":
    commands.start("train")
