"""`python -m tf_finetune.cache`: lists what the cache holds, or clears it."""

import pathlib

from tf_finetune import errors, front_door, printing
from tf_finetune.cache import entries
from tf_finetune.config import use


def main(config: use.CacheConfig) -> None:
    """Prints the entries, or removes those that `--clear` names."""
    folder = pathlib.Path(config.cache_dir).expanduser()
    found = entries.listing(folder)
    if not config.clear:
        printing.show(f"{folder}\n{entries.table(found)}")
        return
    for name in config.clear:
        _clear(found, name)


def _clear(found: list[entries.Entry], name: str) -> None:
    chosen = [
        entry
        for entry in found
        if name == "all" or f"{entry.name}/".startswith(f"{name.rstrip('/')}/")
    ]
    if not chosen and name != "all":
        raise errors.unknown("entry", name, [entry.name for entry in found])
    for entry in chosen:
        if entries.remove(entry):
            printing.show(
                f"removed {entry.name} ({entries.size_text(entry.size_bytes)})"
            )
        else:
            printing.show(f"kept {entry.name}: a running process uses it")


if __name__ == "__main__":
    front_door.run(
        main,
        use.CacheConfig,
        purpose="Lists what the cache directory holds, or clears it:\n"
        "  python -m tf_finetune.cache --clear=features",
    )
