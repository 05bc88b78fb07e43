"""Entries of the cache directory: sizes, last use, eviction, clearing.

Everything in it can be computed again; removing any of it costs only time.
"""

import contextlib
import dataclasses
import fcntl
import os
import pathlib
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Sequence

from absl import logging

from tf_finetune import errors, files, terminal_escapes
from tf_finetune.config import command_configs

Report = Callable[[str], None]

FEATURES = "features"
_ABOUT = "about.json"
_LOCK = ".lock"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """Entry of the cache directory: one folder, with its size and last use.

    Attributes:
        name: Its path below the cache directory, e.g. "features/1f3a…".
        path: The folder.
        what: Description of its content in words; may be empty.
        size_bytes: Size of all its files.
        used: Time of last use, seconds since 1970.
    """

    name: str
    path: pathlib.Path
    what: str
    size_bytes: int
    used: float


@contextlib.contextmanager
def hold_entry(
    cache_dir: pathlib.Path, name: str, *, what: str
) -> Iterator[pathlib.Path]:
    """Creates or opens an entry's folder and keeps it from being evicted.

    Several processes may hold an entry; it is held until the block ends.

    Args:
        cache_dir: The cache directory.
        name: Name of the entry, e.g. "features/1f3a…"; its folder is created if
            it is missing.
        what: Description of its content, stored with it.

    Yields:
        The folder.

    Raises:
        RunError: The cache directory cannot be written.
    """
    folder = cache_dir / name
    for path in (folder, folder / _ABOUT, folder / _LOCK):
        _clear_path(path, is_folder=path == folder)
    try:
        files.write_json(folder / _ABOUT, {"what": what})
        lock = files.open_lock(folder / _LOCK)
    except OSError as error:
        raise errors.RunError(
            f"The cache {cache_dir} cannot be written: "
            f"{error.strerror or error}. Choose another folder with "
            "--cache_dir."
        ) from error
    with lock:
        # Shared: several runs may use an entry; `remove` needs it exclusively.
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield folder


def discard_path(path: pathlib.Path) -> None:
    """Removes a file or an empty folder; ignores errors of the file system.

    A folder with content stays.
    """
    with contextlib.suppress(OSError):
        path.rmdir() if _is_folder(path) else path.unlink()


def _clear_path(path: pathlib.Path, *, is_folder: bool) -> None:
    """Removes whichever file, link or folder blocks a path of the cache."""
    if not os.path.lexists(path):
        return
    if is_folder:
        fits = path.is_dir()
    else:
        fits = stat.S_ISREG(os.lstat(path).st_mode)
    if not fits:
        logging.warning("%s does not belong to the cache and is removed.", path)
        discard_path(path)


def _is_folder(path: pathlib.Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def list_entries(cache_dir: pathlib.Path) -> list[Entry]:
    """Lists the entries of the cache, the longest unused first.

    An entry is the folder of one network's features, or another folder of the
    cache directory as a whole.

    Args:
        cache_dir: The cache directory; an empty list if it does not exist.
    """
    if not cache_dir.is_dir():
        return []
    folders = [each for each in cache_dir.iterdir() if each.is_dir()]
    inner = [each for each in folders if each.name == FEATURES]
    outer = [each for each in folders if each.name != FEATURES]
    networks = [
        each for folder in inner for each in folder.iterdir() if each.is_dir()
    ]
    found = [_read_entry(cache_dir, folder) for folder in [*outer, *networks]]
    return sorted(found, key=lambda entry: (entry.used, entry.name))


def evict_features(
    cache_dir: pathlib.Path, needed_bytes: int, *, limit_bytes: float
) -> bool:
    """Removes cached features, the longest unused first, until bytes fit.

    Entries that a running process holds stay.

    Args:
        cache_dir: The cache directory.
        needed_bytes: Size of the features to be added.
        limit_bytes: Limit on the size of all features.

    Returns:
        Whether they fit now, within the limit and on the disk. Nothing is
        removed where `needed_bytes` alone exceeds the limit.
    """
    if needed_bytes > limit_bytes:
        return False
    kept = [e for e in list_entries(cache_dir) if e.name.startswith(FEATURES)]
    total = sum(entry.size_bytes for entry in kept)
    for entry in kept:
        if total + needed_bytes <= limit_bytes:
            break
        if remove(entry):
            logging.info(
                "cache: removed %s (%s, %s), the least recently used entry, to "
                "stay within --cache_gb",
                entry.name,
                entry.what,
                format_size(entry.size_bytes),
            )
            total -= entry.size_bytes
    # disk_usage takes existing folders only.
    cache_dir.mkdir(parents=True, exist_ok=True)
    fits_disk = needed_bytes < shutil.disk_usage(cache_dir).free
    return total + needed_bytes <= limit_bytes and fits_disk


def remove(entry: Entry) -> bool:
    """Removes an entry with its files, unless a running process holds it.

    Returns:
        Whether the folder is gone.
    """
    try:
        _clear_path(entry.path / _LOCK, is_folder=False)
        lock = files.open_lock(entry.path / _LOCK)
    except OSError:
        return not entry.path.exists()
    with lock:
        try:
            # Exclusive and without waiting: fails if a running process holds
            # it.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        # An interrupted removal leaves whole shards: files vanish one by one.
        shutil.rmtree(entry.path, ignore_errors=True)
        return not entry.path.exists()


def format_table(entries: Sequence[Entry]) -> str:
    """Formats entries as a text table, one a line, with the sum of sizes."""
    width = max([len(entry.name) for entry in entries], default=5)
    lines = [f"{'entry':<{width}} {'size':>9}  {'unused for':<10}  what"]
    for entry in entries:
        lines.append(
            f"{entry.name:<{width}} {format_size(entry.size_bytes):>9}  "
            f"{_format_age(entry.used):<10}  {entry.what}"
        )
    total = sum(entry.size_bytes for entry in entries)
    return "\n".join([*lines, f"{'all':<{width}} {format_size(total):>9}"])


def format_size(count: float) -> str:
    """Formats a number of bytes in decimal units: "12.3 MB"."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            digits = 0 if unit == "B" else 1
            return f"{count:.{digits}f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def _read_entry(cache_dir: pathlib.Path, folder: pathlib.Path) -> Entry:
    size, used = 0, 0.0
    for path in folder.rglob("*"):
        # Another process may be removing the entry.
        with contextlib.suppress(FileNotFoundError):
            status = path.stat()
            size += status.st_size if path.is_file() else 0
            # The newest file tells the last use: `hold_entry` writes
            # about.json.
            used = max(used, status.st_mtime)
    try:
        about = files.read_json(folder / _ABOUT, limit=1 << 20, within=folder)
        what = terminal_escapes.quote(str(about["what"]))[:200]
    except (OSError, ValueError, KeyError, TypeError):
        what = _DESCRIPTIONS.get(folder.name, "")
    return Entry(
        name=str(folder.relative_to(cache_dir)),
        path=folder,
        what=what,
        size_bytes=size,
        used=used,
    )


# Descriptions of folders without about.json.
_DESCRIPTIONS = {
    "verdicts": "which pictures can be decoded",
    "pictures": "pictures that did not come as files (TFDS, digits)",
    "arrays": "pictures that were arrays or a tf.data.Dataset",
}


def _format_age(used: float) -> str:
    seconds = max(time.time() - used, 0.0)
    for length, unit in ((86400, "days"), (3600, "hours"), (60, "min")):
        # From two units on: 90 minutes are shown as such, not as 2 hours.
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def list_or_clear(
    config: command_configs.CacheConfig, *, report: Report
) -> None:
    """Reports the entries of the cache, or removes those `--clear` names.

    Args:
        config: `cache_dir`; `clear` has names of entries, of folders of
            entries, or "all"; empty: the entries are listed.
        report: Called with each text for the user.

    Raises:
        UsageError: A name in `--clear` matches no entry.
    """
    folder = pathlib.Path(config.cache_dir).expanduser()
    found = list_entries(folder)
    if not config.clear:
        report(f"{folder}\n{format_table(found)}")
        return
    for name in config.clear:
        _clear(found, name, report)


def _clear(found: Sequence[Entry], name: str, report: Report) -> None:
    chosen = [
        entry
        for entry in found
        # With the slash "features/1" does not match "features/12".
        if name == "all" or f"{entry.name}/".startswith(f"{name.rstrip('/')}/")
    ]
    if not chosen and name != "all":
        raise errors.make_unknown_error(
            "entry", name, [entry.name for entry in found]
        )
    for entry in chosen:
        if remove(entry):
            report(f"removed {entry.name} ({format_size(entry.size_bytes)})")
        else:
            report(f"kept {entry.name}: a running process uses it")
