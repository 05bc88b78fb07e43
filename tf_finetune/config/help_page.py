"""The page that `--help` prints."""

import textwrap
from typing import Any

from tf_finetune.config import conditions, flag_parser, option_types, options


def format_help(config_class: type, purpose: str) -> str:
    """Returns the page that `--help` prints: every flag with its default.

    Args:
        config_class: The dataclass the flags are derived from.
        purpose: First lines of the page.
    """
    lines = [purpose]
    title = None
    for name, field, value, group in options.list_options(config_class):
        if group != title:
            lines += ["", f"{group}:"]
            title = group
        lines += _format_flag(name, field, value)
    lines += [
        "",
        "--flagfile=FILE reads flags from a file, one --name=value a line;",
        "a flag after it overrides it. --name=none leaves an option open.",
        *textwrap.wrap(
            f"The package has: {', '.join(flag_parser.list_names())}.",
            width=79,
        ),
    ]
    return "\n".join(lines)


def _format_flag(name: str, field: Any, value: Any) -> list[str]:
    kind = option_types.describe_field(field)
    readers = conditions.describe(field.metadata["used_by"])
    return [
        f"  --{name}  (default: {options.to_text(value) or repr('')})",
        *textwrap.wrap(
            f"{field.metadata['help']} [{kind}]"
            + (f" Read with {readers}." if readers else ""),
            width=79,
            initial_indent="      ",
            subsequent_indent="      ",
            break_on_hyphens=False,
        ),
    ]
