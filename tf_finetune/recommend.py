"""Compares pretrained backbones: `python -m tf_finetune.recommend --help`."""

from tf_finetune import commands

if __name__ == "__main__":
    commands.start("recommend")
