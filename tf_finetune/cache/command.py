"""Command that lists what the cache directory holds, or clears it."""

import pathlib
from collections.abc import Callable, Sequence

from tf_finetune import errors
from tf_finetune.cache import entries
from tf_finetune.config import use

Report = Callable[[str], None]


def list_or_clear(config: use.CacheConfig, *, report: Report) -> None:
    """Reports the entries, or removes those that `--clear` names.

    Raises:
        UsageError: `--clear` names no entry.
    """
    folder = pathlib.Path(config.cache_dir).expanduser()
    found = entries.listing(folder)
    if not config.clear:
        report(f"{folder}\n{entries.table(found)}")
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
        raise errors.unknown("entry", name, [entry.name for entry in found])
    for entry in chosen:
        if entries.remove(entry):
            report(
                f"removed {entry.name} ({entries.size_text(entry.size_bytes)})"
            )
        else:
            report(f"kept {entry.name}: a running process uses it")
