"""Python API of serving, with the checks before TensorFlow starts."""

import contextlib
import functools
import os
import pathlib
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from tf_finetune import console_output, environment, errors, files
from tf_finetune.config import options
from tf_finetune.config import serve_config as serving_options
from tf_finetune.serving import server
from tf_finetune.workdir import workdir_files

if TYPE_CHECKING:
    from tf_finetune.serving import adapter_files, served_model

Report = Callable[[str], None]
_GRAPH = "saved_model.pb"


class Server:
    """Running server in threads of this process; the end of a `with` stops it.

    Args:
        address: See the attribute.
        ends: Stops the server when it is closed.

    Attributes:
        address: The address of the model, the first of several,
            http://HOST:PORT/v1/models/NAME; append ":predict" to send pictures.
    """

    def __init__(self, address: str, ends: contextlib.ExitStack) -> None:
        self.address = address
        self._ends = ends

    def stop(self) -> None:
        """Finishes running requests and frees the ports."""
        self._ends.close()

    def __enter__(self) -> "Server":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


def serve(
    workdir: str | os.PathLike = "",
    *,
    report: Report = console_output.show,
    **keywords: Any,
) -> None:
    """Serves an exported run or adapters over REST and gRPC, until interrupted.

    The interface is that of TensorFlow Serving.

    Args:
        workdir: The run's folder, with an exported SavedModel; empty: give
            `exports`, a folder of versions, or `adapters`.
        report: Called with each block of text that the command would print.
        **keywords: Any flag of `python -m tf_finetune.serve`, by name.

    Raises:
        RunError: The export is damaged.
        UsageError: A flag is wrong, there is no export, libraries are missing
            or an address cannot be listened on.
    """
    serve_run(_parse_config(workdir, keywords), report=report)


def start_server(
    workdir: str | os.PathLike = "",
    *,
    report: Report = console_output.show,
    **keywords: Any,
) -> Server:
    """Serves an exported run in background threads, for a notebook.

    Args:
        workdir: The run's folder, with an exported SavedModel; empty: give
            `exports`, a folder of versions, or `adapters`.
        report: Called with each block of text that the command would print.
        **keywords: Any flag of `python -m tf_finetune.serve`, by name.

    Returns:
        The running server; it ends with `stop` or with the process.

    Raises:
        RunError: The export is damaged.
        UsageError: A flag is wrong, there is no export, libraries are missing
            or an address cannot be listened on.
    """
    config = _parse_config(workdir, keywords)
    load = _prepare(config)
    # pop_all hands the open server over; a failed start closes it instead.
    with contextlib.ExitStack() as ends:
        address = ends.enter_context(
            server.serve_in_background(load, config, report=report)
        )
        return Server(address, ends.pop_all())


def serve_run(config: serving_options.ServeConfig, *, report: Report) -> None:
    """Serves a run until it is interrupted, as the command line does.

    Args:
        config: Flags of `python -m tf_finetune.serve`.
        report: Called with each block of text for the user.

    Raises:
        RunError: The export is damaged.
        UsageError: There is no export, libraries are missing or an address
            cannot be listened on.
    """
    load = _prepare(config)
    server.serve_models(load, config, report=report)


def find_served_version(config: serving_options.ServeConfig) -> pathlib.Path:
    """Finds the folder of the version to serve.

    Args:
        config: Names the run or the folder of exports, and the version.

    Raises:
        RunError: A pipe, a device or a socket is among its files.
        UsageError: There is no finished run, no export or not this version.
    """
    if config.exports is None:
        place = workdir_files.Workdir(pathlib.Path(config.workdir).expanduser())
        place.require_finished()
        folder = place.export
        command = f"python -m tf_finetune.export --workdir={config.workdir}"
    else:
        folder = pathlib.Path(config.exports).expanduser()
        command = (
            "python -m tf_finetune.export --workdir=RUN "
            f"--output={config.exports}"
        )
    return find_version(folder, config.version, command=command)


def find_version(
    folder: pathlib.Path, version: int | None, *, command: str
) -> pathlib.Path:
    """Finds the folder of a version among exports.

    Args:
        folder: Holds a folder for each version, named by a whole number.
        version: The requested number; None: the greatest.
        command: The command that exports, for the message.

    Raises:
        RunError: A pipe, a device or a socket is among its files.
        UsageError: There is no version, or not the requested one.
    """
    found = _list_versions(folder)
    if not found:
        raise errors.UsageError(
            f"No exported SavedModel in {folder}. Make one first: {command}"
        )
    if version is not None and version not in found:
        known = ", ".join(map(str, sorted(found)))
        raise errors.UsageError(
            f"--version={version} is not in {folder}. Versions there: {known}."
        )
    chosen = found[max(found) if version is None else version]
    _check_files(chosen)
    return chosen


def _parse_config(
    workdir: str | os.PathLike, keywords: dict[str, Any]
) -> serving_options.ServeConfig:
    given = {"workdir": workdir, **keywords}
    return options.from_keywords(serving_options.ServeConfig, given)


def _prepare(config: serving_options.ServeConfig) -> "server.LoadModels":
    """Checks flags and files, starts TensorFlow; returns the models' loader."""
    # Flags and files first: a mistake should not cost the start of TensorFlow.
    if config.adapters:
        from tf_finetune.serving import adapter_files  # Only for adapters.

        found = adapter_files.read_adapters(config.adapters, config.weights)
        load = functools.partial(_build_adapted, found)
    else:
        folder = find_served_version(config)
        load = functools.partial(_load_version, folder, config.model_name)
    server.check_libraries()
    server.check_grpc(config)
    environment.start_tensorflow()
    return load


def _load_version(
    folder: pathlib.Path, name: str | None
) -> "list[served_model.ServedModel]":
    from tf_finetune.serving import version_files

    name = name or version_files.read_model_name(folder.parent)
    return [version_files.load_version(folder, name=name)]


def _build_adapted(
    found: "adapter_files.AdapterSet",
) -> "list[served_model.ServedModel]":
    from tf_finetune.serving import adapter_models

    return adapter_models.build_models(found)


def _check_files(version: pathlib.Path) -> None:
    """Checks that a version holds regular files only.

    TensorFlow would wait for ever to read from a pipe.

    Raises:
        RunError: A pipe, a device or a socket is among the files.
    """
    try:
        for path in version.rglob("*"):
            if not path.is_dir():
                files.require_regular(path)
    except files.UnfitFileError as error:
        raise errors.RunError(
            f"{version} cannot be served: {error} Export it again, or copy "
            "its folder again."
        ) from error


def _list_versions(folder: pathlib.Path) -> dict[int, pathlib.Path]:
    if not folder.is_dir():
        return {}
    # As TensorFlow Serving: only folders named by a number are versions.
    return {
        int(path.name): path
        for path in folder.iterdir()
        # `isdigit` is true of the digits of other scripts, too.
        if path.name.isascii()
        and path.name.isdigit()
        and (path / _GRAPH).is_file()
    }
