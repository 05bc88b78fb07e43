"""Writes docs/flags.md: every flag of every command, from its declaration.

python scripts/write_flags.py
"""

import pathlib

from tf_finetune import commands
from tf_finetune.config import option_types, options

_PAGE = pathlib.Path(__file__).resolve().parents[1] / "docs" / "flags.md"
_HEAD = """# Every flag

Written by `scripts/write_flags.py` from the declarations. In Python each flag
is a keyword of the same name. The value `none` leaves an option open.
`--flagfile=FILE` reads flags from a file, one a line; FILE may be the name of
one that comes with the package, such as `quickstart`. Names that other packages
use are answered with the name here: [coming_from.md](coming_from.md).
"""


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
                lines += ["| flag | default | what it does |", "|---|---|---|"]
                title = group
            shown = options.to_text(value).replace("|", "\\|") or "''"
            kind = option_types.describe_field(field)
            text = f"{field.metadata['help']} [{kind}]".replace("|", "\\|")
            lines.append(f"| `--{name}` | `{shown}` | {text} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    _PAGE.write_text(build_page(), "utf-8")
