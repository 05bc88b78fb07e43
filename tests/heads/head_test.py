"""The layers of --head_layers as Keras layers."""

import keras
import numpy as np

from tf_finetune.config import model_options, options
from tf_finetune.heads import head


def _options(**changes) -> model_options.ModelOptions:
    return options.from_keywords(model_options.ModelOptions, changes)


def test_the_layers_come_in_order_before_the_last_one():
    layers = head.build_linear_layers(
        _options(
            head_layers="8,batch_norm,relu,4,relu,dropout:0.3,layer_norm",
            dropout=0.1,
            l2=0.5,
        ),
        3,
    )
    assert [layer.name for layer in layers] == [
        "head_dense1", "head_batch_norm1", "head_relu1", "head_dense2",
        "head_relu2", "head_dropout1", "head_layer_norm1", "head_dropout",
        "logits",
    ]  # fmt: skip
    first, norm, _, second, _, dropout, *_ = layers
    assert (first.units, second.units, dropout.rate) == (8, 4, 0.3)
    assert isinstance(norm, keras.layers.BatchNormalization)
    assert first.kernel_regularizer.l2 == second.kernel_regularizer.l2 == 0.5


def test_nothing_is_asked_for_by_default():
    assert head.build_hidden_layers(_options()) == []


def test_what_it_computes():
    layers = head.build_linear_layers(
        _options(head_layers="5,tanh,dropout:0.9"), 2
    )
    rows = np.random.default_rng(0).normal(size=[3, 4]).astype("float32")
    logits = rows
    for layer in layers:
        logits = layer(logits)
    dense, _, _, top = layers
    hidden = np.tanh(rows @ np.asarray(dense.kernel) + np.asarray(dense.bias))
    expected = hidden @ np.asarray(top.kernel) + np.asarray(top.bias)
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-6)
