"""What a weights file holds, as plain arrays."""

import dataclasses
import pathlib
from typing import Any, Literal

import numpy as np

Kind = Literal["classic_h5", "keras3_h5", "keras", "workdir"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SavedLayer:
    """One layer of a file.

    Attributes:
        path: Where it lies in the file: the layer's name in a classic .h5,
            "layers/conv2d_3" or "layers/functional/layers/dense" otherwise.
        name: The name its layer had; None where the file does not say.
        arrays: In the order of the layer's variables; empty for a layer
            without weights.
        array_names: As a classic .h5 spells them ("conv1/kernel:0"); else the
            positions "0", "1", ….
    """

    path: str
    name: str | None
    arrays: tuple[np.ndarray, ...]
    array_names: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SavedWeights:
    """The content of a weights file.

    Attributes:
        kind: classic_h5 (Keras 1, 2 and `model.save("x.h5")`), keras3_h5
            (`.weights.h5`), keras (`.keras`) or workdir (of an earlier run).
        path: The file that was read; in a workdir, its model.weights.h5.
        sha256: Of that file.
        layers: In file order, those without weights included.
        config: The model's config where the file brings one; plain JSON, never
            turned into objects.
        backbone: The `--backbone` of a workdir's run; None elsewhere.
    """

    kind: Kind
    path: pathlib.Path
    sha256: str
    layers: tuple[SavedLayer, ...]
    config: dict[str, Any] | None = None
    backbone: str | None = None
