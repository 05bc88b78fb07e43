"""Adapter files to be served together, read before TensorFlow starts."""

import dataclasses
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tf_finetune import errors
from tf_finetune.adaptation import adapter_file, adapter_paths
from tf_finetune.config import model_options, options

_NAME = re.compile(r"[A-Za-z0-9_.@-]+")
# Options that make the graph of a backbone.
_OF_BACKBONE = (
    "backbone", "image_size", "preprocessing", "cut_at", "norm",
    "input_channels",
)  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdapterSet:
    """Adapters of one backbone.

    Attributes:
        saved: Contents of the files by the names of their models, at least one.
        weights: Weights of the backbone: a name or a path.
    """

    saved: Mapping[str, adapter_file.SavedAdapter]
    weights: str


def read_adapters(values: Sequence[str], weights: str) -> AdapterSet:
    """Reads the adapters of `--adapters` and checks that they share a base.

    Args:
        values: Paths of files or workdirs, or NAME=PATH.
        weights: Value of `--weights`; empty: the files name it.

    Raises:
        UsageError: A file is no adapter, two have one name, their bases differ,
            or their weights lie in a file that is not given.
        RunError: A file is damaged.
    """
    paths: dict[str, pathlib.Path] = {}
    for value in values:
        name, path = _split_name(value)
        if name in paths:
            raise errors.UsageError(
                f"--adapters: {paths[name]} and {path} would both be served as "
                f"{name}. Name one of them, as in other={path}."
            )
        paths[name] = path
    saved = {name: adapter_file.read(path) for name, path in paths.items()}
    base = adapter_paths.choose_base(
        {paths[name]: each for name, each in saved.items()}, weights
    )
    _require_one_network(saved)
    return AdapterSet(saved=saved, weights=base)


def _split_name(value: str) -> tuple[str, pathlib.Path]:
    """Splits NAME=PATH; a path alone is named after its file or workdir."""
    given, sign, rest = value.partition("=")
    whole = pathlib.Path(value).expanduser()
    has_name = sign and not whole.exists()
    path = adapter_paths.find_file(
        pathlib.Path(rest).expanduser() if has_name else whole
    )
    name = given if has_name else adapter_paths.name_file(path)
    if not _NAME.fullmatch(name):
        raise errors.UsageError(
            f"--adapters={value}: a model's name may have letters, digits, "
            f"_ . @ and -, got {name!r}. Write NAME=PATH to choose another."
        )
    return name, path


def _require_one_network(
    saved: Mapping[str, adapter_file.SavedAdapter],
) -> None:
    """Raises `UsageError` if adapters need different graphs of the backbone."""
    (first, one), *others = saved.items()
    ours = _list_backbone_options(one.options)
    for name, each in others:
        theirs = _list_backbone_options(each.options)
        for option, value in ours.items():
            if theirs[option] != value:
                raise errors.UsageError(
                    f"--adapters: {first} was trained with "
                    f"{options.to_flag(option, value)} and {name} with "
                    f"{options.to_flag(option, theirs[option])}, so that they "
                    "cannot share one backbone. Serve them by two servers."
                )


def _list_backbone_options(
    chosen: model_options.ModelOptions,
) -> dict[str, Any]:
    values = options.collect_values(chosen)
    return {name: values[name] for name in _OF_BACKBONE}
