"""Serves an exported run: `python -m tf_finetune.serve --help`."""

from tf_finetune import commands

if __name__ == "__main__":
    commands.start("serve")
