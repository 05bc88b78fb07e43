"""Multi-hot matrix of the labels of pictures."""

from collections.abc import Sequence

import numpy as np

from tf_finetune.data import examples


def build_matrix(
    pictures: Sequence[examples.Picture], names: Sequence[str]
) -> np.ndarray:
    """Encodes labels as float32 [n, labels], 1 where a picture carries one."""
    index = {name: place for place, name in enumerate(names)}
    found = np.zeros([len(pictures), len(names)], "float32")
    for row, picture in zip(found, pictures, strict=True):
        row[[index[name] for name in picture.label]] = 1.0
    return found
