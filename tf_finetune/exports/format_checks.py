"""Checks of `--format` and `--tolerance` that need no TensorFlow."""

import contextlib
import importlib.util
from collections.abc import Sequence

from tf_finetune import errors
from tf_finetune.exports import catalog

# Other names of a format that users type, by their ending. The first match
# counts, so the longer ending comes first (weights.h5 before h5).
_FORMAT_ALIASES = {
    "saved_model.pb": "saved_model",
    "savedmodel": "saved_model",
    "weights.h5": "h5",
    "hdf5": "h5",
    "h5": "h5",
    "keras": "keras",
    "tflite": "litert",
    "onnx": "onnx",
    "tf": "saved_model",
    "pb": "saved_model",
}


def check_name(name: str) -> None:
    """Raises `UsageError` unless the catalog has a format of this name."""
    meant = _guess_format(name)
    if meant:
        raise errors.UsageError(
            f"--format={name}: the format is named {meant!r}; use "
            f"--format={meant}{_describe_format(meant)} --output sets the path."
        )
    catalog.EXPORTS.check(name)


def check_packages(name: str) -> None:
    """Raises `UsageError` if a format needs an extra that is not installed."""
    extra, modules = catalog.EXTRAS.get(name, ("", ()))
    # `find_spec` looks a package up without importing it.
    missing = [each for each in modules if not importlib.util.find_spec(each)]
    if missing:
        raise errors.UsageError(
            f"--format={name} needs {', '.join(missing)}, which is not "
            f"installed: pip install 'tf_finetune[{extra}]'."
        )


def check_rows(name: str) -> None:
    """Checks that a format can hold a model of whole rows.

    Raises:
        UsageError: It takes single pictures.
    """
    if name not in catalog.ROW_FORMATS:
        raise errors.UsageError(
            f"--format={name} takes one picture, and this run takes rows of "
            "pictures and columns; possible: "
            f"{', '.join(catalog.ROW_FORMATS)}."
        )


def parse_tolerance(
    specs: Sequence[str], figures: Sequence[str]
) -> dict[str, float]:
    """Parses `--tolerance`: the allowed loss of each metric.

    Args:
        specs: Each FIGURE:LOSS, or a loss alone, which is that of all figures.
        figures: Of the task.

    Raises:
        UsageError: A figure is not the task's, or a loss not in 0..1.
    """
    # `0.02` alone applies to every metric, `accuracy:0.02` to the one named.
    found: dict[str, float] = {}
    for spec in specs:
        figure, colon, loss = spec.rpartition(":")
        names = (figure.strip(),) if colon else tuple(figures)
        for name in names:
            if name in found:
                raise errors.UsageError(
                    f"--tolerance={','.join(specs)} gives {name} two losses; "
                    "give one."
                )
            if name not in figures:
                raise errors.UsageError(
                    f"--tolerance={spec}: {name!r} is not a metric on which "
                    f"exports of this task are checked; possible: "
                    f"{', '.join(figures)}."
                )
            found[name] = _parse_loss(spec, loss)
    return found


def check_tolerance(
    specs: Sequence[str], formats: Sequence[str], figures: Sequence[str]
) -> None:
    """Raises `UsageError` unless a format rounds and losses can be read."""
    parse_tolerance(specs, figures)
    if specs and not set(formats) & set(catalog.ROUNDED_FORMATS):
        raise errors.UsageError(
            f"--tolerance={','.join(specs)} is only for formats that round: "
            f"{', '.join(catalog.ROUNDED_FORMATS)}. "
            f"--format={','.join(formats)} keeps the run's float32 weights, so "
            "a difference beyond rounding would be a bug. Leave --tolerance "
            "out."
        )


def _parse_loss(spec: str, text: str) -> float:
    # NaN fails the comparison below and is refused like any other text.
    with contextlib.suppress(ValueError):
        loss = float(text)
        if 0 <= loss <= 1:
            return loss
    raise errors.UsageError(
        f"--tolerance={spec} must be a loss in 0..1, e.g. 0.02 for two points, "
        "or FIGURE:LOSS."
    )


def _guess_format(name: str) -> str | None:
    if name in catalog.EXPORTS:
        return None
    ends = name.lower()
    for end, meant in _FORMAT_ALIASES.items():
        if ends == end or ends.endswith(f".{end}"):
            return meant
    return None


def _describe_format(meant: str) -> str:
    if meant != "h5":
        return "."
    return (
        " for the weights alone (model.weights.h5), or --format=keras for the "
        "whole model. A whole-model .h5, --format=whole_h5, is refused for "
        "networks that Keras does not reload correctly from it."
    )
