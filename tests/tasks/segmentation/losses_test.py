"""Tests of tf_finetune/tasks/segmentation/losses.py."""

import keras
import numpy as np
import pytest
from scipy import special

from tf_finetune import errors
from tf_finetune.tasks import segmentation
from tf_finetune.tasks.segmentation import losses

_GENERATOR = np.random.default_rng(0)
_LOGITS = _GENERATOR.normal(size=[2, 3, 4, 3]).astype("float32")
_MASKS = np.array(
    [
        [[0, 0, 1, 1], [2, 2, 255, 255], [0, 1, 1, 255]],
        [[1, 1, 1, 1], [1, 0, 0, 0], [0, 0, 0, 0]],
    ],
    "uint8",
)
_WEIGHTS = [0.5, 2.0, 3.0]


def _of(name, masks=_MASKS, logits=_LOGITS, **keywords):
    return np.asarray(losses.MaskLoss(name, **keywords).call(masks, logits))


def _pixels(picture):
    """Returns the labels and probabilities of the pixels that count."""
    counted = _MASKS[picture] != 255
    labels = _MASKS[picture][counted]
    return labels, special.softmax(_LOGITS[picture], axis=-1)[counted]


@pytest.mark.parametrize("weights", [None, _WEIGHTS])
@pytest.mark.parametrize("name", ["cross_entropy", "focal"])
def test_it_is_the_mean_over_the_pixels_that_count(name, weights):
    expected = []
    for picture in range(2):
        labels, p = _pixels(picture)
        p = p[np.arange(len(labels)), labels]
        each = -np.log(p) * ((1 - p) ** 2 if name == "focal" else 1)
        each *= 1 if weights is None else np.take(weights, labels)
        expected.append(each.mean())
    found = _of(name, class_weights=weights)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "alpha", "beta"), [("dice", 0.5, 0.5), ("tversky", 0.3, 0.7)]
)
@pytest.mark.parametrize("weights", [None, _WEIGHTS])
def test_overlaps_are_averaged_over_the_classes_that_occur(
    name, alpha, beta, weights
):
    expected = []
    for picture in range(2):
        labels, p = _pixels(picture)
        occurring = np.unique(labels)
        each = []
        for index in occurring:
            truth = labels == index
            hits = p[truth, index].sum()
            wrong = p[~truth, index].sum()
            missed = truth.sum() - hits
            each.append(
                1 - (hits + 1) / (hits + alpha * wrong + beta * missed + 1)
            )
        used = None if weights is None else np.take(weights, occurring)
        expected.append(np.average(each, weights=used))
    found = _of(name, class_weights=weights)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_sum_is_the_sum_of_its_parts():
    both = _of("cross_entropy+dice", class_weights=_WEIGHTS)
    parts = [_of(n, class_weights=_WEIGHTS) for n in ("cross_entropy", "dice")]
    np.testing.assert_allclose(both, parts[0] + parts[1], rtol=1e-6)


def test_label_smoothing_mixes_in_the_uniform_distribution():
    labels, p = _pixels(1)
    smooth = np.eye(3)[labels] * 0.7 + 0.1
    expected = -(smooth * np.log(p)).sum(axis=1).mean()
    found = _of("cross_entropy", label_smoothing=0.3)
    assert found[1] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", segmentation.TASK.losses)
def test_ignored_pixels_weigh_nothing(name):
    other = _LOGITS.copy()
    other[_MASKS == 255] = [50.0, -50.0, 0.0]
    np.testing.assert_array_equal(
        _of(name, class_weights=_WEIGHTS),
        _of(name, logits=other, class_weights=_WEIGHTS),
    )
    nothing = np.full_like(_MASKS, 255)
    np.testing.assert_array_equal(_of(name, masks=nothing), [0, 0])


@pytest.mark.parametrize("name", segmentation.TASK.losses)
def test_large_logits_of_half_precision_give_finite_losses(name):
    logits = (_LOGITS * 1e4).astype("float16")
    assert np.isfinite(_of(name, logits=logits)).all()


def test_what_is_no_loss_is_refused():
    with pytest.raises(errors.UsageError, match="'dic'. Did you mean 'dice'"):
        losses.split_loss("cross_entropy+dic")
    with pytest.raises(errors.UsageError, match="twice"):
        losses.split_loss("dice+dice")
    with pytest.raises(errors.UsageError, match="--loss"):
        losses.split_loss("cross_entropy+")


def test_a_sum_can_be_trained():
    model = keras.Sequential(
        [keras.Input([4, 4, 1]), keras.layers.Conv2D(2, 1)]
    )
    model.compile("sgd", losses.MaskLoss("cross_entropy+dice"))
    history = model.fit(
        np.ones([2, 4, 4, 1]), np.ones([2, 4, 4], "uint8"), verbose=0
    )
    assert np.isfinite(history.history["loss"]).all()


_PIXELS = [600, 300, 100]
# Pictures of 500 pixels: two in all, the last class is in one of them.
_AROUND = [1000, 1000, 500]


def _weigh(kind, pixels=_PIXELS):
    return losses.compute_class_weights(
        kind, pixels=pixels, pixels_of_pictures=_AROUND
    )


def test_none_is_no_weights():
    assert _weigh("none") is None


def test_balanced_is_the_median_frequency_over_the_own_one():
    frequencies = np.array([0.6, 0.3, 0.2])
    expected = 0.3 / frequencies
    expected /= (expected * _PIXELS).sum() / 1000
    np.testing.assert_allclose(_weigh("balanced"), expected, rtol=1e-6)


@pytest.mark.parametrize("kind", ["balanced", "effective_number"])
def test_a_pixel_weighs_1_on_average_and_a_rare_class_more(kind):
    weights = _weigh(kind)
    assert weights.dtype == "float32"
    assert (weights * _PIXELS).sum() == pytest.approx(1000, rel=1e-6)
    assert weights[0] < weights[1] < weights[2]


@pytest.mark.parametrize("kind", ["balanced", "effective_number"])
def test_a_class_that_never_occurs_has_the_weight_1(kind):
    weights = _weigh(kind, pixels=[600, 300, 0])
    assert weights[2] == 1
    assert np.isfinite(weights).all()
    assert (_weigh(kind, pixels=[0, 0, 0]) == 1).all()
