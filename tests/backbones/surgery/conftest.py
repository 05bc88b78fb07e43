"""Networks whose weights all matter, and pictures."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def make_backbone():
    """Builds a backbone with random weights and batch-norm statistics."""
    from tf_finetune.backbones import build

    def make(name, image_size=64):
        backbone = build.build(name, image_size=image_size)
        generator = np.random.default_rng(0)
        for variable in backbone.model.weights:
            if variable.name in ("gamma", "moving_variance", "variance"):
                value = generator.uniform(0.5, 1.5, variable.shape)
            elif len(variable.shape) > 1:
                continue
            else:
                value = generator.normal(0, 0.1, variable.shape)
            variable.assign(value)
        for layer in backbone.model.layers:
            if hasattr(layer, "finalize_state"):
                layer.finalize_state()
        return backbone

    return make


@pytest.fixture(scope="session")
def images() -> np.ndarray:
    generator = np.random.default_rng(1)
    return generator.uniform(0, 255, [2, 64, 64, 3]).astype("float32")


@pytest.fixture(scope="session")
def assert_survived():
    """Compares, bit by bit, all weights of layers that are in both."""

    def check(before, after, *, but=()):
        old = {layer.name: layer for layer in before.layers}
        compared = 0
        for layer in after.layers:
            if layer.name not in old or layer.name in but:
                continue
            pairs = zip(
                old[layer.name].get_weights(), layer.get_weights(), strict=True
            )
            for ours, theirs in pairs:
                np.testing.assert_array_equal(ours, theirs)
                compared += 1
        assert compared

    return check
