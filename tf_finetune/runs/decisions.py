"""What a run decides once, by a measurement: noted, never measured again.

A run that goes on needs what it had decided, and workers that train in step
must not each decide by themselves.
"""

import pathlib

from tf_finetune import errors, files, schema, workdir

_KIND = schema.Table(schema.Text(longest=100))


def known(shared: workdir.Workdir) -> dict[str, str]:
    """Returns what the run in a workdir has decided, by name."""
    path = _path(shared)
    try:
        return schema.read(path, _KIND, within=shared.path, limit=1 << 20)
    except (FileNotFoundError, NotADirectoryError):
        return {}


def note(shared: workdir.Workdir, name: str, value: str) -> None:
    """Writes down a decision; only the chief does so."""
    files.write_json(_path(shared), {**known(shared), name: value})


def of_chief(shared: workdir.Workdir, name: str) -> str:
    """Returns what the chief has decided.

    Raises:
        RunError: It is not there.
    """
    found = known(shared)
    if name not in found:
        raise errors.RunError(
            f"What the first worker has decided ({name}) is not in "
            f"{_path(shared)}. Is --workdir a folder that all workers share? "
            "Start the same command again."
        )
    return found[name]


def _path(shared: workdir.Workdir) -> pathlib.Path:
    return shared.checkpoints / "cache.json"
