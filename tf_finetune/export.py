"""Exports a finished run: `python -m tf_finetune.export --help`."""

from tf_finetune import commands

if __name__ == "__main__":
    commands.start("export")
