"""Tests of the plots of labels and targets."""

import numpy as np
import pytest
from PIL import Image

from tf_finetune.drawing import output_plots

pytestmark = pytest.mark.optimizer  # Which leaves no plot blank.


def _figures(count: int) -> dict:
    rows = {
        f"label ${i}": {
            "average_precision": i / count,
            "f1": i / count / 2,
            "support": i + 1,
        }
        for i in range(count)
    }
    rows["never"] = {"average_precision": None, "f1": None, "support": 0}
    return {"examples": 2 * count, "per_label": rows}


def test_more_labels_make_a_higher_picture_up_to_a_bound(tmp_path):
    heights = []
    for count in (3, 20, 200):
        output_plots.draw_labels(_figures(count), tmp_path / f"{count}.png")
        with Image.open(tmp_path / f"{count}.png") as picture:
            heights.append(picture.height)
            assert np.array(picture).std() > 0
    assert heights[0] < heights[1] < heights[2] < 1500


def test_a_split_without_any_label_is_drawn_empty(tmp_path):
    output_plots.draw_labels(_figures(0) | {"examples": 4}, tmp_path / "x.png")
    assert (tmp_path / "x.png").exists()
