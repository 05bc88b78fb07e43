"""Tests of tf_finetune/adaptation/kernels.py: kernels as matrices."""

import keras
import numpy as np
import pytest

from tf_finetune.adaptation import carrier, kernels, lora, scale_shift
from tf_finetune.config import model_options

# Layer, shape of its input, and by kernel: kind, n, m, rank of 4 asked for.
_LAYERS = {
    "conv": (
        lambda: keras.layers.Conv2D(6, 3),
        (5, 5, 4),
        [("kxk", 36, 6, 4)],
    ),
    "grouped": (
        lambda: keras.layers.Conv2D(6, 3, groups=2),
        (5, 5, 4),
        [("kxk", 18, 6, 4)],
    ),
    "pointwise": (
        lambda: keras.layers.Conv2D(3, 1),
        (5, 5, 4),
        [("1x1", 4, 3, 3)],
    ),
    "depthwise": (
        lambda: keras.layers.DepthwiseConv2D(3, depth_multiplier=2),
        (5, 5, 4),
        [("depthwise", 9, 8, 2)],
    ),
    "separable": (
        lambda: keras.layers.SeparableConv2D(5, 3),
        (5, 5, 4),
        [("depthwise", 9, 4, 2), ("1x1", 4, 5, 4)],
    ),
    "dense": (lambda: keras.layers.Dense(7), (9,), [("1x1", 9, 7, 4)]),
    "attention": (
        lambda: keras.layers.EinsumDense(
            "abcd,cde->abe", output_shape=(3, 6), bias_axes="e"
        ),
        (3, 2, 4),
        [("1x1", 8, 6, 4)],
    ),
}


def _make_site(layer: keras.Layer) -> carrier.Site:
    return carrier.Site(
        owner=layer.name,
        layer=layer,
        place=7,
        feeds_batch_norm=False,
        seed=1,
    )


@pytest.fixture(params=_LAYERS)
def case(request):
    make, shape, expected = _LAYERS[request.param]
    layer, inputs = make(), keras.Input(shape)
    return layer, keras.Model(inputs, layer(inputs)), expected


@pytest.mark.quick
def test_lora_adds_the_product_of_its_factors_to_the_matrix(case):
    layer, _, expected = case
    found = kernels.list_kernels(layer)
    assert [
        (e.kind, e.num_rows, e.num_columns, lora.choose_rank(e, 4))
        for e in found
    ] == expected
    changes = lora.adapt_layer(_make_site(layer), model_options.ModelOptions())
    generator = np.random.default_rng(0)
    for change, (_, n, m, r) in zip(changes, expected, strict=True):
        a, b = generator.normal(size=[n, r]), generator.normal(size=[r, m])
        change.numbers["a"].assign(a)
        change.numbers["b"].assign(b)
        weight = np.asarray(change.target)
        # In all these layers the axes of the outputs are the last ones.
        wanted = weight + (a @ b).reshape(weight.shape)
        made = change.compute(change.target, change.numbers)
        np.testing.assert_allclose(made, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.quick
def test_axes_of_an_einsum_layer_may_stand_in_any_order():
    layer = keras.layers.EinsumDense("ab,cb->ac", output_shape=(5,))
    layer.build((None, 3))
    (kernel,) = kernels.list_kernels(layer)
    assert (kernel.rows, kernel.columns) == ((1,), (0,))
    matrix = np.arange(15.0).reshape(3, 5)
    np.testing.assert_array_equal(kernel.from_matrix(matrix), matrix.T)
    np.testing.assert_array_equal(
        kernel.align_columns(np.arange(5.0)), np.arange(5.0)[:, None]
    )


@pytest.mark.quick
def test_scale_and_shift_act_on_the_output(case):
    layer, model, _ = case
    changes = scale_shift.adapt_layer(
        _make_site(layer), model_options.ModelOptions()
    )
    adapter = carrier.Adapter(model, changes)
    generator = np.random.default_rng(0)
    images = generator.normal(size=(2, *model.input_shape[1:]))
    layer.bias.assign(generator.normal(size=layer.bias.shape))
    before = np.asarray(model(images))
    values = {}
    for name, variable in adapter.numbers.items():
        values[name.rpartition("/")[2]] = generator.normal(size=variable.shape)
        variable.assign(values[name.rpartition("/")[2]])
    assert {*values} == {"scale", "shift"}
    adapter.merge()
    np.testing.assert_allclose(
        model(images),
        before * values["scale"] + values["shift"],
        rtol=1e-4,
        atol=1e-4,
    )


@pytest.mark.quick
def test_layers_without_kernels_have_none():
    assert kernels.list_kernels(keras.layers.ReLU()) == []
    norm = keras.layers.BatchNormalization()
    norm.build((None, 3))
    assert kernels.list_kernels(norm) == []
