"""Cache of features and pictures: `python -m tf_finetune.cache --help`."""

from tf_finetune import commands

if __name__ == "__main__":
    commands.start("cache")
