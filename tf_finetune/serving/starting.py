"""The Python API of serving, and what is checked before TensorFlow starts."""

import os
import pathlib
from collections.abc import Callable
from typing import Any

from tf_finetune import environment, workdir
from tf_finetune.config import options
from tf_finetune.config import serve as serving_options
from tf_finetune.serving import running, versions

Report = Callable[[str], None]


def serve(
    workdir: str | os.PathLike, *, report: Report = print, **keywords: Any
) -> None:
    """Serves an exported run as TensorFlow Serving does, until interrupted.

    Args:
        workdir: The run's folder, with an exported SavedModel.
        report: Called with each block of text that the command would print.
        **keywords: Any flag of `python -m tf_finetune.serve`, by name.

    Raises:
        UsageError: There is no export, or it cannot be served as asked.
    """
    given = {"workdir": str(workdir), **keywords}
    config = options.from_keywords(serving_options.ServeConfig, given)
    serve_run(config, report=report)


def serve_run(config: serving_options.ServeConfig, *, report: Report) -> None:
    """Does what `python -m tf_finetune.serve` does."""
    folder = served_version(config)
    running.check_grpc(config)
    environment.start_tensorflow()
    running.serve_folder(folder, config, report=report)


def served_version(config: serving_options.ServeConfig) -> pathlib.Path:
    """Returns the version directory to serve.

    Raises:
        UsageError: There is no finished run, no export or not this version.
    """
    if config.exports is None:
        place = workdir.Workdir(pathlib.Path(config.workdir).expanduser())
        place.require_finished()
        folder = place.export
        command = f"python -m tf_finetune.export --workdir={config.workdir}"
    else:
        folder = pathlib.Path(config.exports).expanduser()
        command = (
            "python -m tf_finetune.export --workdir=RUN "
            f"--output={config.exports}"
        )
    return versions.find(folder, config.version, command=command)
