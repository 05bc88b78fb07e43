"""`python -m tf_finetune`: lists the commands, or runs one.

The console script `tf-finetune COMMAND …` is the same.
"""

import sys

from tf_finetune import commands, console_output, errors, version


def main() -> None:
    """Runs the command that the first argument names, or lists the commands.

    Raises:
        SystemExit: The command has ended, or its name is unknown (status 2).
    """
    console_output.prepare_streams()
    if len(sys.argv) < 2 or sys.argv[1] in ("--help", "-h", "help"):
        console_output.show(_format_commands())
        return
    if sys.argv[1] in ("--version", "-V", "version"):
        console_output.show(f"tf_finetune {version.VERSION}")
        return
    name = sys.argv.pop(1)
    if name not in commands.COMMANDS:
        error = errors.make_unknown_error("command", name, commands.COMMANDS)
        print(f"Error: {error}\n\n{_format_commands()}", file=sys.stderr)
        sys.exit(2)
    # Usage lines and messages name the program that runs.
    sys.argv[0] = f"tf-finetune {name}"
    commands.start(name)


def _format_commands() -> str:
    return "\n".join(
        [
            "Commands of tf_finetune (python -m tf_finetune.COMMAND --help):",
            *(
                f"  {name:<10} {command.summary}"
                for name, command in commands.COMMANDS.items()
            ),
        ]
    )


if __name__ == "__main__":
    main()
