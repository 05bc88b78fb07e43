"""Copies of weights and their return."""

import keras
import numpy as np
import pytest

from tf_finetune.model import assembly


@pytest.fixture
def layer():
    found = keras.layers.Dense(2)
    found.build([None, 3])
    return found


def test_a_copy_stays_when_the_weights_change(layer):
    layer.kernel.assign(np.full([3, 2], 5.0))
    kernel, bias = assembly.copy_values(layer.weights)
    layer.kernel.assign(np.zeros([3, 2]))
    np.testing.assert_array_equal(kernel, np.full([3, 2], 5.0))
    np.testing.assert_array_equal(bias, [0, 0])


def test_values_are_assigned_in_the_order_of_the_variables(layer):
    kernel = np.arange(6.0).reshape(3, 2)
    assembly.assign_values(layer.weights, [kernel, np.ones(2)])
    np.testing.assert_array_equal(layer.kernel, kernel)
    np.testing.assert_array_equal(layer.bias, [1, 1])


def test_too_few_values_are_an_error(layer):
    with pytest.raises(ValueError, match="shorter"):
        assembly.assign_values(layer.weights, [np.zeros([3, 2])])


def test_values_return_after_the_block(layer):
    before = layer.kernel.numpy()
    with assembly.keep_values(layer.weights):
        layer.kernel.assign(before + 1)
    np.testing.assert_array_equal(layer.kernel, before)


def test_values_return_after_an_error_in_the_block(layer):
    before = layer.kernel.numpy()
    with (
        pytest.raises(KeyError),
        assembly.keep_values(layer.weights),
    ):
        layer.kernel.assign(before + 1)
        raise KeyError
    np.testing.assert_array_equal(layer.kernel, before)
