"""Runs an export in a fresh process, without this package."""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence

import numpy as np

from tf_finetune import errors

RUNTIMES = pathlib.Path(__file__).parent / "runtimes"
"""Folder of the scripts that can be run."""

TIMEOUT_SECONDS = 3600
"""Long enough for the largest network on a slow machine; a process that hangs
must not hang the export for ever."""

# Of a failed script's stderr: the error itself, without its traceback.
_STDERR_LINES = 3
# The beginning of temporary names, as `pending_exports` and `files` give them.
_TEMPORARY_PREFIX = re.compile(r"\.tmp-[0-9a-f]{8}-")


def run_script(
    script: pathlib.Path,
    artifact: pathlib.Path,
    inputs: Mapping[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """Runs a script of `runtimes/` in an isolated process.

    The process is isolated (`python -I`): neither this folder, nor that of
    the script, nor PYTHONPATH or the user's own packages are on its path.

    Args:
        script: E.g. `RUNTIMES / "saved_model.py"`; its docstring lists its
            inputs and outputs.
        artifact: The exported file or folder.
        inputs: Arrays by name. Arrays of bytes have dtype object.

    Returns:
        The script's output arrays by name; arrays of bytes have dtype object.

    Raises:
        RunError: The process fails or runs longer than `TIMEOUT_SECONDS`; the
            end of its stderr is in the message.
        TypeError: An array of dtype object holds something else than bytes.
    """
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "inputs.npz"
        target = pathlib.Path(folder) / "outputs.npz"
        np.savez(source, **_pack_strings(inputs))
        _run_checked(
            [script.resolve(), pathlib.Path(artifact).resolve(), source, target]
        )
        with np.load(target, allow_pickle=False) as file:
            return _unpack_strings(dict(file))


def make_string_array(contents: Sequence[bytes]) -> np.ndarray:
    """Packs byte strings into an array of dtype object, [len(contents)].

    Not NumPy's own strings, which lose zeros at their ends.
    """
    array = np.empty([len(contents)], dtype=object)
    array[:] = contents
    return array


def run_isolated(arguments: list[pathlib.Path]) -> subprocess.CompletedProcess:
    """Runs a script in an isolated process and waits for its end.

    Args:
        arguments: Paths of the script, the export, its inputs and its outputs.

    Returns:
        The ended process with `returncode`, `stdout` and `stderr` in bytes.

    Raises:
        subprocess.TimeoutExpired: It runs longer than `TIMEOUT_SECONDS`.
    """
    return subprocess.run(
        [sys.executable, "-I", *map(str, arguments)],
        cwd=arguments[2].parent,
        env=build_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )


def build_environment() -> dict[str, str]:
    """Returns this process's environment variables for an isolated process.

    Variables named PYTHON… are left out; two are added that make TensorFlow
    quiet and let it take GPU memory only as needed.
    """
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith("PYTHON")
    }
    # This process may hold the GPU; the other one must not take the rest of its
    # memory at once, as TensorFlow does by default.
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
    return kept | quiet


def _run_checked(arguments: list[pathlib.Path]) -> None:
    """Runs a script; raises `RunError` if it fails."""
    script = arguments[0]
    # The final name of the export in place of its temporary one.
    artifact = _TEMPORARY_PREFIX.sub("", str(arguments[1]))
    try:
        done = run_isolated(arguments)
    except subprocess.TimeoutExpired as error:
        raise errors.RunError(
            f"{artifact} could not be checked in a separate process: "
            f"{script.name} was still running after {TIMEOUT_SECONDS} seconds."
        ) from error
    if done.returncode == 0:
        return
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    said = " / ".join(line.strip() for line in lines[-_STDERR_LINES:])
    raise errors.RunError(
        f"{artifact} could not be checked in a separate process: "
        f"{script.name} ended with status {done.returncode}, saying: "
        f"{said or 'nothing'}"
    )


def _pack_strings(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    # Arrays of objects would need pickle, which could run code: their bytes are
    # stored in a row, and the length of each beside them.
    stored = {}
    for name, array in arrays.items():
        array = np.asarray(array)
        if array.dtype != object:
            stored[name] = array
            continue
        text = b"".join(array.ravel())
        lengths = np.array([len(each) for each in array.flat], dtype="int64")
        stored[f"{name}:bytes"] = np.frombuffer(text, dtype="uint8")
        stored[f"{name}:lengths"] = lengths.reshape(array.shape)
    return stored


def _unpack_strings(stored: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    arrays = {}
    for name, value in stored.items():
        key, _, kind = name.partition(":")
        if not kind:
            arrays[key] = value
        elif kind == "lengths":
            arrays[key] = _split_bytes(stored[f"{key}:bytes"].tobytes(), value)
    return arrays


def _split_bytes(text: bytes, lengths: np.ndarray) -> np.ndarray:
    ends = np.cumsum(lengths)
    cut = [
        text[end - length : end]
        for end, length in zip(ends, lengths.flat, strict=True)
    ]
    return make_string_array(cut).reshape(lengths.shape)
