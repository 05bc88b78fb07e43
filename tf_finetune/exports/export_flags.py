"""Checks of `--format`, `--tolerance` and `--output`, without TensorFlow."""

import contextlib
import importlib.util
import pathlib
from collections.abc import Sequence

from absl import logging

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
    "safetensors": "torch",
    "pytorch": "torch",
    "tf": "saved_model",
    "pb": "saved_model",
}
# Suffixes by which --output names a file; any other path is a folder. The last
# one counts: .weights.h5 is in the set as .h5.
_FILE_SUFFIXES = frozenset(
    "." + suffix.rpartition(".")[2] for suffix in catalog.SUFFIXES.values()
)


def check_name(name: str) -> None:
    """Checks that an export format of this name exists.

    Raises:
        UsageError: It does not; the message suggests others.
    """
    meant = _guess_format(name)
    if meant:
        raise errors.UsageError(
            f"--format={name}: the format is named {meant!r}; use "
            f"--format={meant}{_describe_format(meant)} --output sets the path."
        )
    catalog.EXPORTS.check(name)


def check_packages(name: str) -> None:
    """Raises `UsageError` if packages that a format needs are missing."""
    extra, modules = catalog.EXTRAS.get(name, ("", ()))
    # `find_spec` looks a package up without importing it.
    missing = [each for each in modules if not importlib.util.find_spec(each)]
    if missing:
        raise errors.UsageError(
            f"--format={name} needs {', '.join(missing)}, which is not "
            f"installed: pip install 'tf_finetune[{extra}]'."
        )


def check_rows(name: str) -> None:
    """Checks that a format can hold a model of table rows (several inputs).

    Args:
        name: Format in `catalog.EXPORTS`.

    Raises:
        UsageError: The format takes only single pictures.
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
    """Parses `--tolerance` to the allowed loss of each metric.

    Args:
        specs: Each "METRIC:LOSS", such as "accuracy:0.02", or a loss alone,
            which then applies to every metric.
        figures: Metrics that the task bounds for exports.

    Returns:
        Loss in 0..1 by metric; only of metrics in `specs`.

    Raises:
        UsageError: A metric is not in `figures` or has two losses, or a loss is
            not in 0..1.
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
    """Checks that `--tolerance` can be parsed and applies to a format.

    Args:
        specs: Values of `--tolerance`, see `parse_tolerance`; may be empty.
        formats: Values of `--format`.
        figures: Metrics that the task bounds for exports.

    Raises:
        UsageError: A value cannot be parsed, or it is given and none of the
            formats has rounded weights.
    """
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


def resolve_file(
    asked: pathlib.Path, *, stem: str, suffix: str
) -> pathlib.Path:
    """Resolves `--output` to the path of a single-file format.

    A file name that ends in ".h5" where weights are asked for becomes
    ".weights.h5", which is logged.

    Args:
        asked: Value of `--output`: a folder, or a file.
        stem: File name without suffix, used if `asked` is a folder.
        suffix: The suffix of the format, such as ".weights.h5".

    Raises:
        UsageError: `asked` is named like a file of another format.
    """
    if not _is_file_name(asked):
        return asked / f"{stem}{suffix}"
    # Keras chooses weights or whole model by the suffix alone, so a whole model
    # under this name could not be loaded.
    if suffix == ".h5" and asked.name.endswith(".weights.h5"):
        raise errors.UsageError(
            f"--output={asked} is named like a weights file; the file of a "
            "whole model in HDF5 must end in .h5 without .weights."
        )
    if asked.name.endswith(suffix):
        return asked
    if not suffix.endswith(asked.suffix):
        raise errors.UsageError(
            f"--output={asked} must be a folder or end in {suffix}."
        )
    right = asked.with_name(asked.name.removesuffix(asked.suffix) + suffix)
    logging.info(
        "%s is written as %s: Keras reads weights only from files with that "
        "suffix, and does not reload every whole model in %s correctly.",
        asked.name,
        right.name,
        asked.suffix,
    )
    return right


def resolve_folder(asked: pathlib.Path) -> pathlib.Path:
    """Returns the folder that exports go into.

    Args:
        asked: A folder, which is returned, or a file with the suffix of an
            export format, whose parent is returned.
    """
    return asked.parent if _is_file_name(asked) else asked


def check_output(output: str | None, formats: Sequence[str]) -> None:
    """Checks that `--output` is a possible destination of all formats.

    Args:
        output: Value of `--output`; None, the run's own folder, passes.
        formats: Names in `catalog.EXPORTS`.

    Raises:
        UsageError: `output` names a file, and several formats, a format of
            another suffix or one of folders would be written to it; or a file
            lies where a folder is needed.
    """
    if output is None:
        return
    asked = pathlib.Path(output)
    if not _is_file_name(asked):
        if asked.exists() and not asked.is_dir():
            raise errors.UsageError(
                f"--output={asked} is a file; exports go into a folder, or a "
                "single one into a file ending in "
                f"{_join_words(sorted(_FILE_SUFFIXES))}."
            )
        return
    if len(formats) > 1:
        raise errors.UsageError(
            f"--output={asked} names one file, and "
            f"--format={','.join(formats)} makes {len(formats)} exports. Name "
            "a folder, or one format."
        )
    suffix = catalog.SUFFIXES.get(formats[0])
    if suffix is None:
        raise errors.UsageError(
            f"--output={asked} is the name of a file, and "
            f"--format={formats[0]} makes a folder. Name a folder."
        )
    resolve_file(asked, stem="model", suffix=suffix)


def check_no_overwrite(
    output: str | None, formats: Sequence[str], own: Sequence[pathlib.Path]
) -> None:
    """Checks that no export overwrites one of the run's own files.

    Args:
        output: Value of `--output` that `check_output` accepts; None passes.
        formats: Names in `catalog.EXPORTS`.
        own: Files of the run that must stay.

    Raises:
        UsageError: An export would overwrite one of `own`.
    """
    if output is None:
        return
    taken = {each.resolve() for each in own}
    for name in formats:
        suffix = catalog.SUFFIXES.get(name)
        if not suffix:
            continue
        # "model" is the stem of the files that formats write.
        path = resolve_file(pathlib.Path(output), stem="model", suffix=suffix)
        if path.resolve() in taken:
            raise errors.UsageError(
                f"--output={output} would overwrite the run's own "
                f"{path.name} with the export {name}. Leave --output out, "
                "or name another folder."
            )


def _is_file_name(asked: pathlib.Path) -> bool:
    return asked.suffix in _FILE_SUFFIXES and not asked.is_dir()


def _join_words(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"
