"""A few pictures with labels."""

import pytest
import sample_pictures

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
        sample_pictures.make_picture(
            f"/{split}/{number}.jpg", label, f"{split}{number}", split
        )
        for split, carried in _CARRIED.items()
        for number, label in enumerate(carried)
    )
    return sample_pictures.make_data(("b", "a"), pictures)
