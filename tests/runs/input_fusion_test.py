"""Tests of tf_finetune/runs/input_fusion.py."""

import keras
import numpy as np

from tf_finetune.runs import input_fusion
from tf_finetune.tasks.regression import losses


def test_a_copy_of_a_network_in_training_is_its_own_and_not_compiled():
    inputs = keras.Input([3])
    model = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    model.compile(loss=losses.RegressionLoss("huber"))
    before = model.get_weights()

    copy = input_fusion._copy_model(model)

    assert not copy.compiled
    model.set_weights([np.zeros_like(each) for each in before])
    for kept, expected in zip(copy.get_weights(), before, strict=True):
        np.testing.assert_array_equal(kept, expected)
