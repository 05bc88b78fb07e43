"""Masks of pictures without one."""

import dataclasses

import numpy as np
import pytest
import sample_pictures
from PIL import Image

from tf_finetune.data import examples
from tf_finetune.data.masks import mask_preparation
from tf_finetune.tasks.segmentation import pseudo_labels

_NAMES = ("sky", "box")


def _probabilities(of_box: np.ndarray) -> np.ndarray:
    return np.stack([1 - of_box, of_box], axis=-1).astype("float32")


@pytest.fixture
def picture(tmp_path):
    return sample_pictures.make_picture(tmp_path / "p.png", "", "abc", side=4)


def test_each_class_has_a_threshold_of_its_own():
    of_box = np.array([[0.1, 0.2, 0.3, 0.4], [0.6, 0.7, 0.8, 0.9]])
    batches = [_probabilities(of_box)[np.newaxis]] * 2
    found = pseudo_labels.PSEUDO_LABELS.find_thresholds(batches, 0.5)
    np.testing.assert_allclose(found, [0.8, 0.8], atol=2e-3)
    found = pseudo_labels.PSEUDO_LABELS.find_thresholds(batches, 1.0)
    np.testing.assert_allclose(found, [0.6, 0.6], atol=2e-3)
    assert (found <= 0.6).all()


def test_what_is_not_sure_is_ignored(picture, tmp_path):
    of_box = np.full([4, 4], 0.45)
    of_box[:2] = 0.05
    of_box[3, 3] = 0.9
    mask = pseudo_labels.PSEUDO_LABELS.label(
        _probabilities(of_box),
        np.array([0.9, 0.8]),
        picture,
        _NAMES,
        folder=tmp_path / "masks",
        resize="squash",
    )
    expected = np.full([4, 4], 255)
    expected[:2], expected[3, 3] = 0, 1
    np.testing.assert_array_equal(
        mask_preparation.read_indices(mask.indices), expected
    )
    assert mask.pixels == (8, 1, 7)
    assert mask.names == _NAMES


def test_nothing_sure_is_no_mask(picture, tmp_path):
    mask = pseudo_labels.PSEUDO_LABELS.label(
        _probabilities(np.full([4, 4], 0.5)),
        np.array([0.9, 0.9]),
        picture,
        _NAMES,
        folder=tmp_path,
        resize="squash",
    )
    assert mask is None


def test_pixels_that_are_ignored_do_not_count(picture, tmp_path):

    truth = np.zeros([4, 4], "uint8")
    truth[0] = 255
    truth[1] = 1
    Image.fromarray(truth).save(tmp_path / "truth.png")
    label = examples.Mask(path="", indices=str(tmp_path / "truth.png"))
    found = pseudo_labels.PSEUDO_LABELS.count_correct(
        _probabilities(np.full([4, 4], 0.05)),
        np.array([0.9, 0.9]),
        dataclasses.replace(picture, label=label),
        resize="squash",
    )
    assert found == (8, 12)
