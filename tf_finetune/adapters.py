"""Lists, merges and composes adapters: `python -m tf_finetune.adapters`."""

from tf_finetune import commands

if __name__ == "__main__":
    commands.start("adapters")
