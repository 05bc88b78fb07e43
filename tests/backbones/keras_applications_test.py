"""The one graph here against the two that Keras has of EfficientNet."""

import keras
import numpy as np
import pytest
from keras.src.utils import file_utils

from tf_finetune.backbones import build, keras_applications


def _randomize(model):
    random = np.random.default_rng(0)
    for variable in model.variables:
        if len(variable.shape) == 1:
            variable.assign(random.uniform(0.5, 1.5, variable.shape))


def _normalization(model):
    (layer,) = [
        each
        for each in model.layers
        if isinstance(each, keras.layers.Normalization)
    ]
    return layer


def test_the_factors_stand_for_the_second_rescaling(tmp_path, monkeypatch):
    path = str(tmp_path / "efficientnetb0.weights.h5")
    ours = build.build("efficientnet_b0", image_size=32).model
    _randomize(ours)
    plain = keras.applications.EfficientNetB0(
        include_top=False, weights=None, input_shape=(32, 32, 3)
    )
    plain.set_weights(ours.get_weights())
    plain.save_weights(path)
    # Keras takes this for the published file and builds the other graph.
    monkeypatch.setattr(file_utils, "get_file", lambda *_, **__: path)
    published = keras.applications.EfficientNetB0(
        include_top=False, weights="imagenet", input_shape=(32, 32, 3)
    )
    layers = [type(layer).__name__ for layer in published.layers]
    assert layers.count("Rescaling") == 2
    pixels = np.random.default_rng(1).uniform(0, 255, (2, 32, 32, 3))
    pixels = pixels.astype("float32")
    expected = np.asarray(published(pixels, training=False))
    scale = np.abs(expected).max()
    unadapted = np.asarray(ours(pixels, training=False))
    assert np.abs(unadapted - expected).max() > 1e-3 * scale

    factors = keras_applications.find_variance_factors("efficientnet_b0")
    normalization = _normalization(ours)
    _, variance, _ = normalization.weights
    variance.assign(np.asarray(variance) * factors)
    normalization.finalize_state()
    found = np.asarray(ours(pixels, training=False))
    np.testing.assert_allclose(found / scale, expected / scale, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "has"),
    [
        ("efficientnet_b0", True),
        ("efficientnet_b7", True),
        ("efficientnet_v2_b0", False),
        ("efficientnet_better", False),
        ("resnet50", False),
    ],
)
def test_which_networks_have_two_graphs(name, has):
    factors = keras_applications.find_variance_factors(name)
    assert (factors is not None) == has
