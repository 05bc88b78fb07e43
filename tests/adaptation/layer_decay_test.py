"""Factors of the learning rate over the depth of a network."""

import types

import pytest

from tf_finetune.adaptation import layer_decay


def _layer(name: str, *shapes: tuple[int, ...]) -> types.SimpleNamespace:
    weights = [types.SimpleNamespace(shape=shape) for shape in shapes]
    return types.SimpleNamespace(name=name, weights=weights)


def _factors(*layers, decay: float = 0.9) -> dict[str, float]:
    network = types.SimpleNamespace(layers=layers)
    return layer_decay.compute_factors(network, decay)


def test_of_27_layers_each_has_the_factor_of_the_next_times_the_decay():
    found = _factors(*(_layer(f"conv{i}", (3, 3, 1, 1)) for i in range(27)))
    expected = {f"conv{i}": 0.9 ** (27 - i) for i in range(27)}
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("depth", [1, 4, 52])
def test_the_first_layer_of_any_network_has_the_same_factor(depth):
    found = _factors(*(_layer(f"conv{i}", (1, 1, 2, 2)) for i in range(depth)))
    assert found["conv0"] == pytest.approx(0.9**27)
    assert [*found.values()] == sorted(found.values())


def test_a_norm_has_the_factor_of_the_kernel_before_it():
    found = _factors(
        _layer("rescaling", (3,)),
        _layer("conv", (3, 3, 3, 8), (8,)),
        _layer("relu"),
        _layer("norm", (8,), (8,)),
        _layer("dense", (8, 4)),
    )
    # Two kernels: 0.9^(27 · 2/2) and 0.9^(27 · 1/2).
    assert found == pytest.approx(
        {
            "rescaling": 0.9**27,
            "conv": 0.9**27,
            "norm": 0.9**27,
            "dense": 0.9**13.5,
        }
    )


def test_a_decay_of_one_leaves_all_rates_alike():
    layers = [_layer(f"conv{i}", (1, 1, 2, 2)) for i in range(3)]
    assert {*_factors(*layers, decay=1.0).values()} == {1.0}
