"""Verdicts on masks in few bits, and the masks that are kept for them."""

import dataclasses

import numpy as np
import pytest
import sample_pictures
from PIL import Image

from tf_finetune.data import examples
from tf_finetune.tasks import quantization_checks
from tf_finetune.tasks.segmentation import exports

_NAMES = ("sky", "road", "car")


def _judge(expected, got, truth=None):
    return exports.EXPORTS.check_quantized(
        quantization_checks.Comparison(expected, got, truth, _NAMES)
    )


@pytest.fixture
def expected():
    """Two pictures of ten by ten pixels: sky above, road below."""
    found = np.zeros([2, 10, 10, 3])
    found[:, :5] = [0.8, 0.1, 0.1]
    found[:, 5:] = [0.1, 0.8, 0.1]
    return found


def test_distance_does_not_depend_on_the_number_of_classes(expected):
    got = expected + [0.03, -0.03, 0]

    found = _judge(expected, got)

    assert found.figures["mean_distance"] == pytest.approx(0.03)
    assert not found.failures
    with_more = np.concatenate([expected, np.zeros([2, 10, 10, 9])], axis=-1)
    changed = np.concatenate([got, np.zeros([2, 10, 10, 9])], axis=-1)
    again = _judge(with_more, changed).figures["mean_distance"]
    assert again == pytest.approx(0.03)


def test_sure_pixels_must_stay(expected):
    got = expected.copy()
    got[0, 0, :8] = [0.4, 0.2, 0.4 + 1e-3]  # 8 of 200 pixels.

    (fault,) = _judge(expected, got).failures

    assert "96.0% of the clearly decided pixels keep" in fault


def test_mean_iou_is_of_the_pixels_that_count(expected):
    truth = np.zeros([2, 10, 10], "uint8")
    truth[:, 5:] = 1
    truth[:, 4] = 255
    got = expected.copy()
    got[:, 5, :5] = [0.5, 0.4, 0.1]  # 10 of 100 road pixels are called sky.
    got[:, 4] = [0.1, 0.8, 0.1]  # Ignored.

    found = _judge(expected, got, truth)

    assert found.figures["evaluation_mean_iou"] == 1.0
    sky, road = 80 / 90, 90 / 100
    assert found.figures["mean_iou"] == pytest.approx((sky + road) / 2)
    assert any("mean iou 89.4% instead of 100.0%" in f for f in found.failures)


def test_without_a_pixel_that_counts_there_is_no_mean_iou(expected):
    truth = np.full([2, 10, 10], 255, "uint8")

    found = _judge(expected, expected, truth)

    assert found.figures["mean_iou"] is None
    assert not found.failures


def test_masks_are_kept_as_the_model_sees_them(tmp_path):
    pytest.importorskip("tensorflow")
    indices = np.array([[0, 0, 1, 1], [255, 255, 0, 0]], "uint8")
    Image.fromarray(indices).save(tmp_path / "mask.png")
    mask = examples.Mask(
        path="", indices=str(tmp_path / "mask.png"), names=("road", "sky")
    )
    picture = examples.Picture(
        path="", label=mask, sha256="", width=4, height=2
    )
    data = sample_pictures.make_data(_NAMES, (picture,))

    squashed = exports.EXPORTS.load_truth(data, [picture], [1, 2, 2, 3])
    padded = dataclasses.replace(data, resize="pad")
    padded = exports.EXPORTS.load_truth(padded, [picture], [1, 4, 4, 3])

    # Here "sky" is the first class and "road" the second one.
    assert squashed.tolist() == [[[1, 0], [255, 1]]]
    assert padded[0, 1].tolist() == [1, 1, 0, 0]
    assert padded[0, [0, 3]].tolist() == [[255] * 4] * 2
