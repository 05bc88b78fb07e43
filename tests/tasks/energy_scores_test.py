"""How far pictures are from those that were learned."""

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from tf_finetune.tasks import energy_scores  # noqa: E402

_LOGITS = np.array([[1.0, 2.0, -3.0], [0.0, 0.0, 0.0]], "float32")


def test_free_energy_is_that_of_the_paper():
    got = energy_scores.free_energy(tf.constant(_LOGITS))

    exact = _LOGITS.astype("float64")
    np.testing.assert_allclose(
        got, -np.log(np.exp(exact).sum(axis=1)), rtol=1e-6
    )
    # A picture that excites no class is further away.
    assert got[1] > got[0]


def test_joint_energy_adds_the_labels_own():
    got = energy_scores.joint_energy(tf.constant(_LOGITS))

    exact = _LOGITS.astype("float64")
    np.testing.assert_allclose(
        got, -np.log(1 + np.exp(exact)).sum(axis=1), rtol=1e-6
    )
    assert got[1] > got[0]


def test_large_logits_are_finite():
    huge = tf.constant([[500.0, -500.0]])
    assert energy_scores.joint_energy(huge).numpy() == -500
    assert energy_scores.free_energy(huge).numpy() == -500
