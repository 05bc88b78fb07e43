"""`python -m tf_finetune`: lists the commands, or runs one.

The console script `tf-finetune COMMAND …` is the same.
"""

import runpy
import sys

from tf_finetune import errors, printing, version

_COMMANDS = {
    "train": "fine-tune a pretrained network on your own pictures",
    "evaluate": "figures of a finished run, on its own or on other pictures",
    "predict": "classes of pictures without labels, as CSV",
    "export": "SavedModel for TensorFlow Serving, .h5 weights, .keras",
    "serve": "serve an export as TensorFlow Serving does, with a page",
    "client": "send pictures to a served model",
    "backbones": "list the pretrained networks",
    "cache": "list what is kept between runs, or clear it",
}


def main() -> None:
    """Runs the command that the first argument names."""
    printing.prepare()
    if len(sys.argv) < 2 or sys.argv[1] in ("--help", "-h", "help"):
        printing.show(_listing())
        return
    if sys.argv[1] in ("--version", "-V", "version"):
        printing.show(f"tf_finetune {version.VERSION}")
        return
    command = sys.argv.pop(1)
    if command not in _COMMANDS:
        error = errors.unknown("command", command, _COMMANDS)
        print(f"Error: {error}\n\n{_listing()}", file=sys.stderr)
        sys.exit(2)
    runpy.run_module(
        f"tf_finetune.{command}", run_name="__main__", alter_sys=True
    )


def _listing() -> str:
    lines = [f"  {name:<10} {what}" for name, what in _COMMANDS.items()]
    return "\n".join(
        [
            "Commands of tf_finetune (python -m tf_finetune.COMMAND --help):",
            *lines,
        ]
    )


if __name__ == "__main__":
    main()
