"""Versions and hardware of a run, for `run.json`."""

import importlib.metadata
import os
import platform
from typing import Any

_PACKAGES = (
    "tf_finetune",
    "keras",
    "tensorflow",
    "tensorflow-cpu",
    "numpy",
    "scikit-learn",
    "pillow",
)


def describe() -> dict[str, Any]:
    """Returns versions and hardware, ready for JSON.

    TensorFlow must be loaded already: asking it for devices starts it.
    """
    import tensorflow as tf

    devices = tf.config.list_physical_devices()
    return {
        "versions": {"python": platform.python_version(), **_versions()},
        "hardware": {
            "machine": platform.machine(),
            "system": platform.system(),
            "cpus": os.cpu_count(),
            "devices": [device.name for device in devices],
        },
    }


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
