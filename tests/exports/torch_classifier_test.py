"""Tests of tf_finetune/exports/torch_classifier.py."""

import types

import keras
import numpy as np
import pytest

from tf_finetune import errors
from tf_finetune.exports import torch_classifier, torch_read_back
from tf_finetune.exports import torchvision_networks as networks

_SIDE, _CHANNELS, _OUTPUTS = 4, 5, 3


def _build(*after, between=()):
    """Returns a model from a feature map through a linear head."""
    keras.utils.set_random_seed(0)
    image = keras.Input([_SIDE, _SIDE, _CHANNELS])
    x = keras.layers.GlobalAveragePooling2D()(image)
    for layer in (*between, keras.layers.Dense(_OUTPUTS), *after):
        x = layer(x)
    return keras.Model(image, x)


def _draw_map(least):
    random = np.random.default_rng(0)
    shape = (2, _SIDE, _SIDE, _CHANNELS)
    return random.uniform(least, 2, shape).astype("float32")


@pytest.mark.parametrize(
    "network",
    [
        networks.Network(name="x", dense=("fc",)),
        networks.Network(
            name="x",
            dense=("a", "b", "c"),
            hidden_units=8,
            activation="relu",
            grid=2,
        ),
        networks.Network(
            name="x", dense=("a", "b"), hidden_units=6, activation="hard_swish"
        ),
    ],
    ids=["linear", "two hidden layers", "hard-swish"],
)
def test_hidden_layers_pass_the_pooled_features_on(network):
    model = _build(between=[keras.layers.Dropout(0.5)])
    # Hard-swish gives no less than -3/8, ReLU no less than 0.
    least = -0.375 if network.activation == "hard_swish" else 0
    feature_map = _draw_map(least)
    head = torch_classifier.find_head(model)
    arrays = torch_classifier.build_classifier(head, network)
    got = torch_classifier.apply_classifier(
        torch_read_back.pool_features(feature_map, network.grid),
        arrays,
        network,
    )
    np.testing.assert_allclose(got, model.predict(feature_map), atol=2e-6)
    last = arrays[f"{network.dense[-1]}.weight"]
    assert last.shape == (_OUTPUTS, network.hidden_units or _CHANNELS)


def test_layers_behind_the_logits_are_folded_in():
    model = _build(
        keras.layers.Rescaling(0.5),
        keras.layers.Rescaling([1.0, 2.0, 3.0], [0.0, 1.0, -1.0]),
        keras.layers.Activation("softmax"),
    )
    plain = _build()
    plain.set_weights(model.get_weights())
    feature_map = _draw_map(0)
    head = torch_classifier.find_head(model)
    assert head.activation == "softmax"
    pooled = feature_map.mean(axis=(1, 2))
    np.testing.assert_allclose(
        pooled @ head.kernel + head.bias,
        0.5 * plain.predict(feature_map) * [1, 2, 3] + [0, 1, -1],
        atol=1e-5,
    )


@pytest.mark.parametrize(
    ("after", "between"),
    [
        ((), (keras.layers.Dense(4), keras.layers.ReLU())),
        ((keras.layers.ReLU(), keras.layers.Activation("linear")), ()),
    ],
    ids=["hidden layer", "bounds"],
)
def test_other_ends_are_refused(after, between):
    with pytest.raises(errors.UsageError, match="end with one dense layer"):
        torch_classifier.find_head(_build(*after, between=between))


def test_a_map_that_does_not_fit_the_grid_is_refused():
    head = torch_classifier.Head(
        kernel=np.zeros([2, 1], "float32"),
        bias=np.zeros(1, "float32"),
        activation="linear",
        feature_map=types.SimpleNamespace(shape=(None, 4, 4, 2)),
    )
    network = networks.Network(
        name="x", dense=("a", "b"), hidden_units=2, activation="relu", grid=3
    )
    with pytest.raises(errors.UsageError, match="4 by 4.*3 by 3.*image_size"):
        torch_classifier.build_classifier(head, network)


def test_pooling_to_a_grid_is_that_of_torch():
    # AdaptiveAvgPool2d(2) of [0, 1, 2]: means of [0, 1] and of [1, 2].
    found = torch_read_back.pool_features(
        np.arange(3.0).reshape(1, 1, 3, 1) * np.ones([1, 3, 1, 1]), 2
    )
    np.testing.assert_array_equal(found, [[[[0.5, 1.5], [0.5, 1.5]]]])
