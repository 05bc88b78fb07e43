"""Decisions of a run that follow from a measurement, recorded once.

A resumed run needs its earlier decisions, and workers that train in step must
not each decide by themselves.
"""

import pathlib

from tf_finetune import errors, files
from tf_finetune.workdir import json_schema, workdir_files

_KIND = json_schema.Table(json_schema.Text(longest=100))


def load_choices(shared: workdir_files.Workdir) -> dict[str, str]:
    """Reads the decisions of the run in a workdir, by name."""
    path = _choices_path(shared)
    try:
        return json_schema.read_json(
            path, _KIND, within=shared.path, limit=1 << 20
        )
    except (FileNotFoundError, NotADirectoryError):
        return {}


def record_choice(shared: workdir_files.Workdir, name: str, value: str) -> None:
    """Records a decision; only the chief does so."""
    files.write_json(
        _choices_path(shared), {**load_choices(shared), name: value}
    )


def load_chief_choice(shared: workdir_files.Workdir, name: str) -> str:
    """Reads a decision that the chief has recorded.

    Raises:
        RunError: It is not there.
    """
    found = load_choices(shared)
    if name not in found:
        raise errors.RunError(
            f"The first worker's decision on {name!r} is missing from "
            f"{_choices_path(shared)}. Is --workdir a folder that all workers "
            "share? Start the same command again."
        )
    return found[name]


def _choices_path(shared: workdir_files.Workdir) -> pathlib.Path:
    # With the checkpoints: a finished run needs its decisions no more.
    return shared.checkpoints / "cache.json"
