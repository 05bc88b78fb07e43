"""Writes docs/flags.md: every flag of every command, from its declaration.

python scripts/write_flags.py
"""

import pathlib

from tf_finetune import commands
from tf_finetune.config import conditions, option_types, options

_PAGE = pathlib.Path(__file__).resolve().parents[1] / "docs" / "flags.md"
_HEAD = """# Every flag

Written by `scripts/write_flags.py` from the declarations. In Python each flag
is a keyword of the same name. The value `none` leaves an option open.
`--flagfile=FILE` reads flags from a file, one a line; FILE may be the name of
one that comes with the package, such as `quickstart`. Names that other packages
use are answered with the name here: [coming_from.md](coming_from.md).

A flag with an entry in the last column is read only in a run with all that
stands there, and is refused in others; in a flagfile it is ignored and logged.
`--data_format` and `--head` count with the value that `auto` becomes, and
fine-tuning is left out by `--epochs=0` and, mostly, by `--trainable=head`.
"""
_TABLE_HEAD = [
    "| flag | default | what it does | read with |",
    "|---|---|---|---|",
]


def build_page() -> str:
    """Builds the page, as Markdown."""
    lines = [_HEAD]
    for command, config_class in commands.config_classes().items():
        lines.append(f"## {command}\n")
        title = None
        for name, field, value, group in options.list_options(config_class):
            if group != title:
                lines += [] if title is None else [""]
                if group != "run":
                    lines.append(f"### {command}: {group}\n")
                lines += _TABLE_HEAD
                title = group
            readers = conditions.describe(field.metadata["used_by"])
            cells = (
                f"`--{name}`",
                f"`{options.to_text(value) or repr('')}`",
                f"{field.metadata['help']} "
                f"[{option_types.describe_field(field)}]",
                f"`{readers}`" if readers else "",
            )
            escaped = [each.replace("|", "\\|") for each in cells]
            lines.append(f"| {' | '.join(escaped)} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    _PAGE.write_text(build_page(), "utf-8")
