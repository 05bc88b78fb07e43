"""Tests of the regression that repairs a convolution."""

import keras
import numpy as np
import pytest

from tf_finetune.transplants import ridge_repair


@pytest.mark.parametrize(
    ("size", "strides", "padding"),
    [(1, 1, "valid"), (1, 2, "same"), (3, 1, "same"), (3, 2, "valid")],
)
def test_patches_times_the_kernel_are_the_layers_outputs(
    size, strides, padding
):
    layer = keras.layers.Conv2D(
        5, size, strides=strides, padding=padding, use_bias=False
    )
    images = np.random.default_rng(0).normal(size=(2, 9, 9, 4))
    images = keras.ops.convert_to_tensor(images, "float32")
    outputs = layer(images)
    places = ridge_repair.choose_positions(outputs.shape[1:], 2, seed=1)
    patches = ridge_repair.gather_patches(layer, images, places)
    np.testing.assert_allclose(
        patches @ layer.kernel.numpy().reshape(-1, 5),
        ridge_repair.gather_outputs(outputs, places),
        rtol=1e-4,
        atol=1e-5,
    )


def test_positions_do_not_repeat_and_are_about_6000():
    places = ridge_repair.choose_positions((112, 112, 8), 7, seed=0)
    assert places.shape == (7, 858)  # 6000 / 7, rounded up.
    assert all(len({*row}) == 858 for row in places.tolist())
    assert places.max() < 112 * 112
    assert ridge_repair.choose_positions((2, 3, 8), 7, seed=0).shape == (7, 6)


def test_a_linear_relation_is_found_with_its_constant():
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(5000, 3))
    kernel, offset = generator.normal(size=(3, 2)), np.array([4.0, -2.0])
    found = ridge_repair.solve(
        inputs, inputs @ kernel + offset, has_offset=True
    )
    # The penalty is a hundredth of the inputs' variance: W shrinks by 1 %.
    np.testing.assert_allclose(found.kernel, kernel / 1.01, atol=2e-3)
    np.testing.assert_allclose(found.offset, offset, atol=1e-2)
    # Of the outputs' variance (1 - 1/1.01)² is left.
    assert found.unexplained == pytest.approx((0.01 / 1.01) ** 2, rel=0.1)


def test_without_a_constant_the_solution_has_none():
    inputs = np.array([[1.0], [2.0]])
    found = ridge_repair.solve(
        inputs, np.array([[3.0], [5.0]]), has_offset=False
    )
    # W = Σxy / (Σx² + 0.01·Σx²) = 13 / 5.05.
    np.testing.assert_allclose(found.kernel, [[13 / 5.05]], rtol=1e-6)
    assert found.offset == [0.0]


def test_channels_that_are_always_zero_stay_zero():
    found = ridge_repair.solve(
        np.zeros((4, 2)), np.zeros((4, 3)), has_offset=True
    )
    assert not found.kernel.any()
    assert found.unexplained == 0.0
