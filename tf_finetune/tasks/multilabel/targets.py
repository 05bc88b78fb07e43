"""Which labels pictures carry, as numbers."""

from collections.abc import Sequence

import numpy as np

from tf_finetune.data import examples


def matrix(
    pictures: Sequence[examples.Picture], names: Sequence[str]
) -> np.ndarray:
    """Returns float32 [n, labels], 1 where the picture carries the label."""
    index = {name: place for place, name in enumerate(names)}
    found = np.zeros([len(pictures), len(names)], "float32")
    for row, picture in zip(found, pictures, strict=True):
        row[[index[name] for name in picture.label]] = 1.0
    return found
