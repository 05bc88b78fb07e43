"""Decisions of a run that follow from a measurement, recorded once.

A resumed run needs its earlier decisions, and workers that train in step must
not each decide by themselves.
"""

import pathlib

from tf_finetune import errors, files, schema, workdir

_KIND = schema.Table(schema.Text(longest=100))


def known(shared: workdir.Workdir) -> dict[str, str]:
    """Reads the decisions of the run in a workdir, by name."""
    path = _path(shared)
    try:
        return schema.read(path, _KIND, within=shared.path, limit=1 << 20)
    except (FileNotFoundError, NotADirectoryError):
        return {}


def note(shared: workdir.Workdir, name: str, value: str) -> None:
    """Records a decision; only the chief does so."""
    files.write_json(_path(shared), {**known(shared), name: value})


def of_chief(shared: workdir.Workdir, name: str) -> str:
    """Reads a decision that the chief has recorded.

    Raises:
        RunError: It is not there.
    """
    found = known(shared)
    if name not in found:
        raise errors.RunError(
            f"The first worker's decision on {name!r} is missing from "
            f"{_path(shared)}. Is --workdir a folder that all workers share? "
            "Start the same command again."
        )
    return found[name]


def _path(shared: workdir.Workdir) -> pathlib.Path:
    # With the checkpoints: a finished run needs its decisions no more.
    return shared.checkpoints / "cache.json"
