"""Identities between adapters and methods that are left out for them."""

import keras
import numpy as np
import pytest

from tf_finetune.adaptation import carrier, lora, norm, scale_shift
from tf_finetune.config import model_options

_OPTIONS = model_options.ModelOptions(adapter_rank=2)


@pytest.fixture
def case():
    """A convolution and a batch norm with statistics, and pictures."""
    inputs = keras.Input([5, 5, 3])
    convolution = keras.layers.Conv2D(4, 3, use_bias=False)
    batch_norm = keras.layers.BatchNormalization()
    model = keras.Model(inputs, batch_norm(convolution(inputs)))
    generator = np.random.default_rng(0)
    for variable in batch_norm.variables:
        variable.assign(generator.uniform(0.5, 2, variable.shape))
    model.trainable = False
    return model, convolution, batch_norm


def _make_site(layer, **changed) -> carrier.Site:
    given = {"feeds_batch_norm": False, "place": 0, "seed": 0, **changed}
    return carrier.Site(owner=layer.name, layer=layer, **given)


def _images() -> np.ndarray:
    return np.random.default_rng(1).normal(size=[6, 5, 5, 3])


def test_scale_shift_on_a_batch_norm_reaches_what_norm_does(case):
    model, convolution, batch_norm = case
    before = _make_site(convolution, feeds_batch_norm=True)
    assert scale_shift.adapt_layer(before, _OPTIONS) == []
    site = _make_site(batch_norm, place=1)
    ours = carrier.Adapter(model, norm.adapt_layer(site, _OPTIONS))
    theirs = carrier.Adapter(model, scale_shift.adapt_layer(site, _OPTIONS))
    change = np.random.default_rng(2).normal(size=[2, 4]).astype("float32")
    for variable, value in zip(ours.numbers.values(), change, strict=True):
        variable.assign(value)
    # s = (γ + δγ) / γ and t = β + δβ − s·β give the same γ' and β'.
    gamma, beta = np.array(batch_norm.gamma), np.array(batch_norm.beta)
    scale = (gamma + change[0]) / gamma
    values = (scale, beta + change[1] - scale * beta)
    for variable, value in zip(theirs.numbers.values(), values, strict=True):
        variable.assign(value)
    for (_, one), (_, other) in zip(
        ours.compute_weights(), theirs.compute_weights(), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_dora_is_lora_with_norm_where_statistics_stand_still(case):
    model, convolution, batch_norm = case
    changes = [
        *lora.adapt_layer(_make_site(convolution), _OPTIONS),
        *norm.adapt_layer(_make_site(batch_norm, place=1), _OPTIONS),
    ]
    adapter = carrier.Adapter(model, changes)
    generator = np.random.default_rng(2)
    a, b = generator.normal(size=[27, 2]), generator.normal(size=[2, 4])
    kernel = np.array(convolution.kernel)
    moved = kernel + (a @ b).reshape(kernel.shape)
    # DoRA (2402.09353, equation 5): columns of length m in the direction of
    # the changed kernel.
    lengths = np.linalg.norm(moved.reshape(27, 4), axis=0)
    m = generator.uniform(0.5, 2, 4)
    gamma = np.array(batch_norm.gamma)
    mean = np.array(batch_norm.moving_mean)
    sigma = np.sqrt(np.array(batch_norm.moving_variance) + batch_norm.epsilon)
    convolution.kernel.assign(m * moved / lengths)
    wanted = np.asarray(model(_images()))
    convolution.kernel.assign(kernel)
    named = [*adapter.numbers.values()]
    # γ' = γ·m/‖V‖ and β' = β + (γ·μ/σ)·(m/‖V‖ − 1).
    ratio = m / lengths
    deltas = (gamma * (ratio - 1), gamma * mean / sigma * (ratio - 1))
    for variable, value in zip(named, (a, b, *deltas), strict=True):
        variable.assign(value)
    found = carrier.build_trainer(model, adapter)(_images())
    np.testing.assert_allclose(found, wanted, atol=2e-5)


def test_decay_of_a_change_is_a_pull_towards_the_pretrained_weights(case):
    model, _, batch_norm = case
    site = _make_site(batch_norm)
    adapter = carrier.Adapter(model, norm.adapt_layer(site, _OPTIONS))
    trainer = carrier.build_trainer(model, adapter)
    decay, rate, steps = 0.3, 0.05, 4
    trainer.compile(
        keras.optimizers.SGD(rate, weight_decay=decay), "mean_squared_error"
    )
    images, targets = _images(), np.ones([6, 3, 3, 4])
    trainer.fit(
        images, targets, batch_size=6, epochs=steps, shuffle=False, verbose=0
    )
    # The same by hand: gradient of the loss + (λ/2)·‖w − w₀‖².
    gamma, beta = np.array(batch_norm.gamma), np.array(batch_norm.beta)
    normed = (np.asarray(model(images)) - beta) / gamma
    first, pulled = (gamma, beta), [gamma, beta]
    for _ in range(steps):
        error = 2 * (normed * pulled[0] + pulled[1] - 1) / normed[..., 0].size
        error /= 4
        gradients = (
            (error * normed).sum((0, 1, 2)) + decay * (pulled[0] - first[0]),
            error.sum((0, 1, 2)) + decay * (pulled[1] - first[1]),
        )
        pulled = [w - rate * g for w, g in zip(pulled, gradients, strict=True)]
    for variable, new, old in zip(
        adapter.numbers.values(), pulled, first, strict=True
    ):
        np.testing.assert_allclose(variable, new - old, atol=1e-5)
