"""ResNet-18 and ResNet-34 against torchvision's facts and plain numpy."""

import keras
import numpy as np
import pytest

from tf_finetune.backbones import build, resnet


@pytest.mark.parametrize(
    ("name", "total_with_top"),
    # torchvision's documentation; its counts leave batch norm's statistics
    # out. The top has 512 * 1000 weights and 1000 biases.
    [("resnet18", 11_689_512), ("resnet34", 21_797_672)],
)
def test_as_many_parameters_as_torchvision(name, total_with_top):
    model = build.build(name, image_size=32).model
    count = sum(np.prod(each.shape) for each in model.trainable_variables)
    assert count == total_with_top - 513_000


@pytest.mark.parametrize(
    ("name", "count"), [("resnet18", 20), ("resnet34", 36)]
)
def test_as_many_convolutions_as_the_paper_says(name, count):
    model = build.build(name, image_size=32).model
    convolutions = [
        layer
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D)
    ]
    # All but the final dense layer of 18 or 34, and three projections.
    assert len(convolutions) == count
    assert not any(layer.use_bias for layer in convolutions)
    # PyTorch's momentum of 0.1 is Keras' 0.9.
    norms = [each for each in model.layers if hasattr(each, "momentum")]
    assert {layer.momentum for layer in norms} == {0.9}
    assert len(norms) == count
    names = [layer.name for layer in model.layers]
    for each in ("conv1_conv", "conv1_bn", "conv2_block1_1_conv"):
        assert each in names


def _correlate(x, kernel, stride, padding):
    """[h, w, in] with [k, k, in, out], padded with zeros, as PyTorch does."""
    x = np.pad(x, [(padding, padding), (padding, padding), (0, 0)])
    size = kernel.shape[0]
    rows = range(0, x.shape[0] - size + 1, stride)
    columns = range(0, x.shape[1] - size + 1, stride)
    return np.array(
        [
            [
                np.einsum("hwi,hwio->o", x[r : r + size, c : c + size], kernel)
                for c in columns
            ]
            for r in rows
        ]
    )


def _normalize(x, gamma, beta, mean, variance):
    return gamma * (x - mean) / np.sqrt(variance + 1e-5) + beta


def _randomized(model):
    random = np.random.default_rng(0)
    for variable in model.variables:
        variable.assign(random.uniform(0.1, 1.0, variable.shape))
    return {
        layer.name: [w.astype("float64") for w in layer.get_weights()]
        for layer in model.layers
        if layer.weights
    }


@pytest.mark.parametrize(("stride", "filters"), [(2, 3), (1, 2)])
def test_a_block_is_that_of_the_paper(stride, filters):
    images = keras.Input([5, 5, 2])
    block = resnet._block(images, filters, stride=stride, name="b")
    model = keras.Model(images, block)
    weights = _randomized(model)
    x = np.random.default_rng(1).normal(size=(5, 5, 2))
    found = model(x[None].astype("float32"), training=False)

    def step(y, name, stride, padding):
        y = _correlate(y, *weights[f"{name}_conv"], stride, padding)
        return _normalize(y, *weights[f"{name}_bn"])

    y = np.maximum(step(x, "b_1", stride, 1), 0)
    y = step(y, "b_2", 1, 1)
    shortcut = x if stride == 1 else step(x, "b_0", stride, 0)
    expected = np.maximum(y + shortcut, 0)
    assert expected.max() > 0
    np.testing.assert_allclose(found[0], expected, rtol=1e-4, atol=1e-4)


def test_the_stem_pads_as_torchvision_does():
    model = build.build("resnet18", image_size=32).model
    stem = keras.Model(
        model.get_layer("preprocess").output,
        model.get_layer("pool1_pool").output,
    )
    weights = _randomized(stem)
    x = np.random.default_rng(1).normal(size=(32, 32, 3))
    found = stem(x[None].astype("float32"), training=False)
    y = _correlate(x, *weights["conv1_conv"], 2, 3)
    y = np.maximum(_normalize(y, *weights["conv1_bn"]), 0)
    assert y.shape == (16, 16, 64)
    y = np.pad(y, [(1, 1), (1, 1), (0, 0)], constant_values=-np.inf)
    expected = [
        [y[r : r + 3, c : c + 3].max((0, 1)) for c in range(0, 16, 2)]
        for r in range(0, 16, 2)
    ]
    np.testing.assert_allclose(found[0], expected, rtol=1e-4, atol=1e-4)
