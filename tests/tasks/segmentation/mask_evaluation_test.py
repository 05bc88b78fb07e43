"""Tests of the evaluation of masks."""

import numpy as np
import pytest
from PIL import Image

from tf_finetune.tasks.segmentation import mask_evaluation

_MASK = np.zeros([8, 10], "uint8")


def _kept(values, count):
    found = mask_evaluation.Extremes(count)
    for number, value in enumerate(values):
        found.add(value, f"{number}.png", true=_MASK, predicted=_MASK)
    return [int(path.removesuffix(".png")) for path in found.paths]


@pytest.mark.parametrize("seed", range(5))
def test_the_worst_and_the_best_are_kept(seed):
    values = np.random.default_rng(seed).random(20)
    order = np.argsort(values).tolist()
    assert _kept(values, 3) == order[:3] + order[-3:]


def test_few_pictures_are_all_kept_and_those_without_a_pixel_never():
    assert _kept([0.5, np.nan, 0.2], 3) == [2, 0]


def test_they_are_drawn_a_row_each(tmp_path):
    found = mask_evaluation.Extremes(1)
    found.draw(["a", "b"], tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()
    for number, value in enumerate([0.4, 0.9, 0.1]):
        path = tmp_path / f"{number}.png"
        Image.fromarray(np.full([8, 10, 3], 99, "uint8")).save(path)
        found.add(value, str(path), true=_MASK, predicted=_MASK + 1)
    found.draw(["a", "b"], tmp_path / "examples.png")
    with Image.open(tmp_path / "examples.png") as picture:
        assert picture.size == (1000, 600)
