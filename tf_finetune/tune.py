"""Searches the settings of a run: `python -m tf_finetune.tune --help`."""

from tf_finetune import commands

if __name__ == "__main__":
    commands.start("tune")
