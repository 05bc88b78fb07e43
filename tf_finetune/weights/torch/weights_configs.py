"""The `config.json` beside PyTorch weights: network and preprocessing.

timm writes it beside its safetensors files, and so does `export
--format=torch`.
"""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from tf_finetune import errors, files
from tf_finetune.backbones import backbone as backbones

NAME = "config.json"
"""Name of the file."""

WEIGHTS_FILES = ("model.safetensors", "pytorch_model.bin")
"""Names of the weights in a folder with such a file, the preferred first."""

_MAX_BYTES = 1 << 20
# By preprocessing, mean and standard deviation of RGB in 0..1.
_KINDS: dict[backbones.Preprocessing, tuple[Sequence[float], ...]] = {
    "torch": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "tf": ((0.5,) * 3, (0.5,) * 3),
    "lite": ((127 / 255,) * 3, (128 / 255,) * 3),
}
_TOLERANCE = 1e-3


@dataclasses.dataclass(frozen=True, kw_only=True)
class WeightsConfig:
    """Facts of a file of PyTorch weights, from the `config.json` beside it.

    Attributes:
        path: The `config.json`.
        architecture: Name of the network, in timm or torchvision.
        preprocessing: Kind with the file's mean and deviation; None if it has
            none.
    """

    path: pathlib.Path
    architecture: str
    preprocessing: backbones.Preprocessing | None


def find_weights(folder: pathlib.Path) -> pathlib.Path | None:
    """Finds the weights file of a folder that has a `config.json`.

    Returns:
        Path of the file; None if the folder is of another kind.
    """
    if not (folder / NAME).is_file():
        return None
    for name in WEIGHTS_FILES:
        if (folder / name).is_file():
            return folder / name
    return None


def read_config(path: pathlib.Path) -> WeightsConfig | None:
    """Reads the `config.json` beside a weights file.

    Args:
        path: The weights file.

    Returns:
        Its facts; None if there is no such file, one of another program, or
        one that names other weights.

    Raises:
        UsageError: Its mean and deviation are of no known preprocessing.
    """
    place = path.with_name(NAME)
    content = _read_content(place)
    named = _find_named(content)
    # A file that was renamed is known by its content.
    if named.get("file", path.name) != path.name and (
        not path.is_file() or files.sha256(path) != named.get("sha256")
    ):
        return None
    architecture = content.get("architecture")
    if not isinstance(architecture, str):
        return None
    facts = content.get("pretrained_cfg")
    facts = facts if isinstance(facts, dict) else content
    return WeightsConfig(
        path=place,
        architecture=architecture,
        preprocessing=_find_kind(place, facts.get("mean"), facts.get("std")),
    )


def is_free(path: pathlib.Path) -> bool:
    """Returns whether the `config.json` of a weights file can be written.

    It can if there is none beside the file, or one that names the file.
    """
    place = path.with_name(NAME)
    named = _find_named(_read_content(place)).get("file")
    return named == path.name or not place.exists()


def _read_content(place: pathlib.Path) -> dict[str, Any]:
    """Reads a `config.json`; {} where it is none about weights."""
    try:
        content = files.read_json(place, limit=_MAX_BYTES)
    except (OSError, ValueError, RecursionError):
        return {}  # A file of this name need not be about the weights.
    return content if isinstance(content, dict) else {}


def _find_named(content: dict[str, Any]) -> dict[str, Any]:
    """Returns name and hash of the weights that a `config.json` is about."""
    named = content.get("weights")
    return named if isinstance(named, dict) else {}


def _find_kind(
    place: pathlib.Path, mean: Any, std: Any
) -> backbones.Preprocessing | None:
    if mean is None or std is None:
        return None
    for kind, (known_mean, known_std) in _KINDS.items():
        if _is_close(mean, known_mean) and _is_close(std, known_std):
            return kind
    raise errors.UsageError(
        f"{place} scales pictures by the mean {mean!r:.60} and the deviation "
        f"{std!r:.60}, which is none of the preprocessings here: "
        f"{', '.join(_KINDS)}."
    )


def _is_close(values: Any, known: Sequence[float]) -> bool:
    try:
        found = np.asarray(values, "float64")
    except (TypeError, ValueError):
        return False
    return found.shape == (3,) and np.allclose(found, known, atol=_TOLERANCE)
