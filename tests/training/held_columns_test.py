"""Tests of tf_finetune/training/held_columns.py."""

import keras
import numpy as np

from tf_finetune.training import held_columns


def _fit(layer, optimizer):
    model = keras.Sequential([keras.Input([3]), layer])
    model.compile(optimizer, loss="mse")
    random = np.random.default_rng(0)
    model.fit(random.normal(size=[8, 3]), random.normal(size=[8, 4]), verbose=0)


def test_held_columns_are_bit_equal_under_decay_and_gradients():
    layer = keras.layers.Dense(4)
    layer.build([None, 3])
    before = [np.array(each) for each in layer.weights]
    with held_columns.hold_columns(layer, [1, 3]):
        _fit(layer, keras.optimizers.AdamW(0.1, weight_decay=0.5))
    for old, new in zip(before, layer.weights, strict=True):
        np.testing.assert_array_equal(
            np.array(new)[..., [1, 3]], old[..., [1, 3]]
        )
        assert (np.array(new)[..., [0, 2]] != old[..., [0, 2]]).all()
    assert layer.kernel.constraint is layer.bias.constraint is None
    assert layer.get_config()["kernel_constraint"] is None
