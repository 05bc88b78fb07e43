"""Chooses settings from the data: `python -m tf_finetune.recipe --help`."""

from tf_finetune import commands

if __name__ == "__main__":
    commands.start("recipe")
