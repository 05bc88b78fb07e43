"""A few pictures with labels."""

import pytest

from tf_finetune.data import examples

_CARRIED = {
    "train": [("a",), ("a", "b"), (), ("b",), ("a",)],
    "validation": [("a", "b"), (), ("b",)],
    "test": [("a",), ()],
}


@pytest.fixture
def data() -> examples.ImageData:
    """Five training, three validation and two test pictures, labels a, b."""
    pictures = tuple(
        examples.Picture(
            path=f"/{split}/{number}.jpg",
            label=label,
            sha256=f"{split}{number}",
            width=1,
            height=1,
            split=split,
        )
        for split, carried in _CARRIED.items()
        for number, label in enumerate(carried)
    )
    return examples.ImageData(
        class_names=("b", "a"), pictures=pictures, dropped=(), fingerprint=""
    )
