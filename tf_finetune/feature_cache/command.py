"""Command that lists the entries of the cache directory, or clears it."""

import pathlib
from collections.abc import Callable, Sequence

from tf_finetune import errors
from tf_finetune.config import command_configs
from tf_finetune.feature_cache import entries

Report = Callable[[str], None]


def list_or_clear(
    config: command_configs.CacheConfig, *, report: Report
) -> None:
    """Reports the entries, or removes those that `--clear` names.

    Raises:
        UsageError: `--clear` names no entry.
    """
    folder = pathlib.Path(config.cache_dir).expanduser()
    found = entries.list_entries(folder)
    if not config.clear:
        report(f"{folder}\n{entries.format_table(found)}")
        return
    for name in config.clear:
        _clear(found, name, report)


def _clear(found: Sequence[entries.Entry], name: str, report: Report) -> None:
    chosen = [
        entry
        for entry in found
        if name == "all" or f"{entry.name}/".startswith(f"{name.rstrip('/')}/")
    ]
    if not chosen and name != "all":
        raise errors.make_unknown_error(
            "entry", name, [entry.name for entry in found]
        )
    for entry in chosen:
        if entries.remove(entry):
            report(
                f"removed {entry.name} "
                f"({entries.format_size(entry.size_bytes)})"
            )
        else:
            report(f"kept {entry.name}: a running process uses it")
