"""Tests of the network of probabilities."""

import numpy as np
import pytest
from scipy import special

keras = pytest.importorskip("keras")

from tf_finetune.tasks import catalog, probability_network  # noqa: E402


def _model(network, shape):
    keras.utils.set_random_seed(0)
    inputs = keras.Input(shape)
    logits = keras.layers.Dense(3, name="logits")(inputs)
    return keras.Model(inputs, network.predictions(logits))


@pytest.mark.parametrize(
    ("task", "shape", "finish"),
    [
        ("classification", [4], lambda z: special.softmax(z, axis=-1)),
        ("multilabel", [4], special.expit),
        ("segmentation", [2, 2, 4], lambda z: special.softmax(z, axis=-1)),
    ],
)
def test_a_calibrated_model_divides_its_logits(task, shape, finish):
    network = catalog.TASKS.get(task).network
    model = _model(network, shape)
    values = np.random.default_rng(0).normal(size=[5, *shape]).astype("float32")
    before = model.predict_on_batch(values)
    below = keras.Model(model.inputs, network.find_logits(model))
    logits = below.predict_on_batch(values).astype("float64")

    scaled = probability_network.apply_temperature(model, network, 2.5)

    np.testing.assert_allclose(
        scaled.predict_on_batch(values),
        finish(logits / 2.5),
        rtol=1e-5,
    )
    np.testing.assert_array_equal(model.predict_on_batch(values), before)
    # What is strange is told by the logits as trained.
    assert network.find_logits(scaled) is model.get_layer("logits").output
