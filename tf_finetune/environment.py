"""Starts TensorFlow; describes versions and hardware."""

import contextlib
import importlib.metadata
import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

from tf_finetune import errors

_PACKAGES = (
    "tf_finetune",
    "keras",
    "tensorflow",
    "tensorflow-cpu",
    "numpy",
    "scikit-learn",
    "pillow",
)

ONEDNN_VARIABLE = "TF_ENABLE_ONEDNN_OPTS"
"""The variable that TensorFlow reads once, while it loads."""

_NO_TENSORFLOW = (
    "TensorFlow is not installed. Install one of: pip install "
    "'tf_finetune[tensorflow]' · 'tf_finetune[cpu]' (smaller, no GPU) · "
    "'tf_finetune[cuda]' (NVIDIA GPU libraries included)."
)


def start_tensorflow() -> None:
    """Imports Keras and TensorFlow, without TensorFlow's start-up log.

    The import takes seconds, and none where it was done before. If the user's
    environment sets `TF_CPP_MIN_LOG_LEVEL`, the log is printed. oneDNN is
    turned on unless the environment sets it.

    Raises:
        RunError: TensorFlow is not installed, or Keras is told to use another
            backend.
    """
    backend = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    if backend != "tensorflow":
        raise errors.RunError(
            f"KERAS_BACKEND is {backend!r}; this package trains and exports "
            "with TensorFlow. Unset it, or set it to 'tensorflow'."
        )
    heard = "TF_CPP_MIN_LOG_LEVEL" in os.environ
    # Errors of its C++ parts reach us as Python exceptions as well; as log
    # lines they are mostly about processors other than this one.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "tensorflow" not in sys.modules:
        # Off by default on some processors, where MobileNetV2 then trains at
        # half the speed.
        os.environ.setdefault(ONEDNN_VARIABLE, "1")
    try:
        with contextlib.nullcontext() if heard else _buffer_stderr():
            import keras  # noqa: F401
            import tensorflow  # noqa: F401
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in ("keras", "tensorflow"):
            raise
        raise errors.RunError(_NO_TENSORFLOW) from error


def describe_onednn() -> str:
    """Returns "on", "off" or "as TensorFlow chose": the setting of oneDNN.

    It is read from the environment variable that `start_tensorflow` sets.
    """
    value = os.environ.get(ONEDNN_VARIABLE)
    if value is None:
        return "as TensorFlow chose"
    return "off" if value.lower() in ("0", "false") else "on"


@contextlib.contextmanager
def _buffer_stderr() -> Iterator[None]:
    """Buffers stderr, of C code too, and prints it if the block fails."""
    # By file descriptor: C code does not write through `sys.stderr`.
    sys.stderr.flush()
    real = os.dup(2)
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except Exception:
            kept.seek(0)
            os.write(real, kept.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(real, 2)
            os.close(real)


def describe_environment() -> dict[str, Any]:
    """Returns versions of packages and the hardware, as values for JSON.

    TensorFlow must be loaded already: asking it for devices starts it.

    Returns:
        {"versions": version by package, "hardware": machine, system, number
        of CPUs, and names of the TensorFlow devices}.
    """
    import tensorflow as tf

    devices = tf.config.list_physical_devices()
    return {
        "versions": {"python": platform.python_version(), **_list_versions()},
        "hardware": {
            "machine": platform.machine(),
            "system": platform.system(),
            "cpus": os.cpu_count(),
            "devices": [device.name for device in devices],
        },
    }


def _list_versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            # TensorFlow has several packages, of which one is installed.
            continue
    return found


def read_worker_number(environment: Mapping[str, str] | None = None) -> int:
    """Returns the number of this worker in distributed training; 0: the chief.

    Args:
        environment: Environment variables, of which TF_CONFIG is read, or
            without it SLURM_PROCID; None: those of this process.

    Returns:
        A number from 0; also 0 where neither variable is set.

    Raises:
        UsageError: TF_CONFIG does not describe a cluster.
    """
    environment = os.environ if environment is None else environment
    text = environment.get("TF_CONFIG")
    if not text:
        # The rank that Slurm gives a process; a single process has none.
        return int(environment.get("SLURM_PROCID", 0))
    try:
        found = json.loads(text)
        cluster, task = found.get("cluster", {}), found.get("task", {})
        kind, index = task.get("type", "worker"), int(task.get("index", 0))
        chiefs = len(cluster.get("chief", ()))
    except (ValueError, AttributeError, TypeError) as error:
        raise errors.UsageError(
            f"TF_CONFIG does not describe a cluster ({error}): it must be "
            'JSON such as {"cluster": {"worker": ["host1:1234", '
            '"host2:1234"]}, "task": {"type": "worker", "index": 0}}.'
        ) from error
    # The chief, if there is one, is number 0; the workers follow.
    return index if kind == "chief" else index + chiefs


def is_non_chief(strategy: str) -> bool:
    """Returns whether this process is a worker other than the chief.

    Args:
        strategy: The value of `--strategy`; only "multi_worker" has workers.

    Raises:
        UsageError: TF_CONFIG does not describe a cluster.
    """
    return strategy == "multi_worker" and read_worker_number() > 0
