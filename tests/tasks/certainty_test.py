"""Tests of calibration and out-of-distribution scores."""

import numpy as np
import pytest
from scipy import special

tf = pytest.importorskip("tensorflow")

from tf_finetune.tasks import catalog, certainty  # noqa: E402
from tf_finetune.tasks.segmentation import certainty as masks  # noqa: E402

_TASKS = {name: catalog.TASKS.get(name) for name in catalog.TASKS.names()}
_SURE = sorted(name for name, task in _TASKS.items() if task.certainty_at)
_NAMES = ("a", "b", "c")


def _drawn(task: str, count: int = 6_000):
    """Returns right logits, and targets drawn by their probabilities."""
    generator = np.random.default_rng(0)
    shape = [count // 100, 10, 10, 3] if task == "segmentation" else [count, 3]
    logits = generator.normal(0, 2, shape)
    if task == "multilabel":
        targets = generator.uniform(size=shape) < special.expit(logits)
        return logits.astype("float32"), targets.astype("float32")
    shares = np.cumsum(special.softmax(logits, axis=-1), axis=-1)
    draws = generator.uniform(size=[*shape[:-1], 1])
    indices = (shares[..., :-1] < draws).sum(axis=-1)
    if task == "classification":
        return logits.astype("float32"), np.eye(3, dtype="float32")[indices]
    return logits.astype("float32"), indices.astype("uint8")


def _tempering(task: str, logits, targets):
    found = _TASKS[task].certainty.create_temperature_scaling(
        _NAMES, len(logits), seed=0
    )
    for start in range(0, len(logits), 32):
        rows = slice(start, start + 32)
        found.add(logits[rows], targets[rows])
    return found


@pytest.mark.parametrize("task", _SURE)
@pytest.mark.parametrize("factor", [1.0, 3.0])
def test_the_factor_of_the_logits_is_found(task, factor):
    logits, targets = _drawn(task)

    found = _tempering(task, logits * factor, targets).fit_temperature()

    assert found.temperature == pytest.approx(factor, rel=0.06)
    assert found.log_loss[1] <= found.log_loss[0]
    before, after = found.expected_calibration_error
    assert after < 0.02
    assert (before > 0.05) == (factor > 1)


@pytest.mark.parametrize("task", _SURE)
def test_a_picture_that_excites_no_output_is_the_stranger_one(task):
    logits, _ = _drawn(task, 200)
    logits[0] = -9.0
    found = np.asarray(_TASKS[task].certainty.ood_score(logits))
    assert found.shape == (len(logits),)
    assert np.argmax(found) == 0


@pytest.mark.parametrize("task", sorted({*_TASKS} - {*_SURE}))
def test_who_is_not_sure_says_why(task):
    asked = _TASKS[task].refused_options
    assert {"calibrate", "out_of_distribution"} <= {*asked}
    assert _TASKS[task].certainty is None


def test_the_figures_of_labels_are_those_of_all_pairs():
    logits = np.array([[2.0, -1.0, 0.5], [-3.0, 4.0, 1.0]], "float32")
    targets = np.array([[1, 1, 0], [0, 1, 1]], "float32")

    found = _tempering("multilabel", logits, targets).fit_temperature()

    for place, temperature in enumerate((1.0, found.temperature)):
        p = 1 / (1 + np.exp(-logits.astype("float64") / temperature))
        true = np.where(targets > 0, p, 1 - p)
        assert found.log_loss[place] == pytest.approx(-np.log(true).mean())
    # Six probabilities, each in a fifteenth of its own.
    p = 1 / (1 + np.exp(-logits.astype("float64")))
    assert found.expected_calibration_error[0] == pytest.approx(
        np.abs(targets - p).mean()
    )


def test_labels_that_are_all_right_teach_nothing():
    logits = np.array([[2.0, -1.0, 0.5]], "float32")
    found = _tempering("multilabel", logits, logits > 0).fit_temperature()
    assert found.temperature == 1.0
    assert found.log_loss[0] == found.log_loss[1]


def test_ignored_pixels_do_not_count():
    logits, targets = _drawn("segmentation", 2_000)
    both = [np.concatenate([each, each]) for each in (logits, targets)]
    both[0][len(logits) :] = 99.0
    both[1][len(logits) :] = 255

    alone = _tempering("segmentation", logits, targets).fit_temperature()
    found = _tempering("segmentation", *both).fit_temperature()

    assert found.examples == 2_000
    assert found.log_loss == alone.log_loss
    assert found.counted == "pixels of 40 validation pictures"


def test_of_many_pixels_some_are_drawn_with_a_seed():
    logits, targets = _drawn("segmentation", 20_000)
    targets[:, :5] = 255

    def of(seed):
        found = masks.TemperatureScaling(3, 200, seed=seed, most_numbers=30_000)
        found.add(logits * 3, targets)
        return found.fit_temperature()

    found = of(1)
    # 50 pixels of each picture, of which about half are ignored.
    assert 4_700 < found.examples < 5_300
    assert found.temperature == pytest.approx(3, rel=0.1)
    assert found.counted.startswith("drawn pixels of 200")
    assert of(1) == found != of(2)


def test_masks_without_a_labeled_pixel_are_an_error():
    from tf_finetune import errors

    found = masks.TemperatureScaling(3, 1, seed=0)
    found.add(np.zeros([1, 4, 4, 3]), np.full([1, 4, 4], 255))
    with pytest.raises(errors.DataError, match="all ignored"):
        found.fit_temperature()


_LOGITS = np.array([[1.0, 2.0, -3.0], [0.0, 0.0, 0.0]], "float32")


def test_free_energy_is_that_of_the_paper():
    got = certainty.free_energy(tf.constant(_LOGITS))

    exact = _LOGITS.astype("float64")
    np.testing.assert_allclose(
        got, -np.log(np.exp(exact).sum(axis=1)), rtol=1e-6
    )
    # A picture that excites no class is further away.
    assert got[1] > got[0]


def test_joint_energy_adds_the_labels_own():
    got = certainty.joint_energy(tf.constant(_LOGITS))

    exact = _LOGITS.astype("float64")
    np.testing.assert_allclose(
        got, -np.log(1 + np.exp(exact)).sum(axis=1), rtol=1e-6
    )
    assert got[1] > got[0]


def test_large_logits_are_finite():
    huge = tf.constant([[500.0, -500.0]])
    assert certainty.joint_energy(huge).numpy() == -500
    assert certainty.free_energy(huge).numpy() == -500
