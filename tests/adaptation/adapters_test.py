"""Tests of tf_finetune/adaptation/adapters.py: numbers, and wrong choices."""

import math

import keras
import numpy as np
import pytest

from tf_finetune import errors
from tf_finetune.adaptation import adapters, catalog
from tf_finetune.config import model_options
from tf_finetune.model import assembly
from tf_finetune.tasks import classification

# By hand for mobilenet@0.25. Its 13 blocks have these input channels.
_CHANNELS = (8, 16, 32, 32, 64, 64, 128, 128, 128, 128, 128, 128, 256)
_PAIRS = [*zip(_CHANNELS, (*_CHANNELS[1:], 256), strict=True)]
# Every convolution is followed by a batch norm of as many channels.
_NORMED = 8 + sum(a + b for a, b in _PAIRS)
_POINTWISE = 4 * sum(a + b for a, b in _PAIRS)
_DEPTHWISE = 2 * sum(9 + a for a in _CHANNELS)
_FIRST = 4 * (3 * 3 * 3 + 8)
_EXPECTED = {
    ("norm", "auto"): 2 * _NORMED,
    ("bias", "auto"): _NORMED,
    ("scale_shift", "auto"): 2 * _NORMED,
    ("lora", "1x1"): _POINTWISE,
    ("lora", "depthwise"): _DEPTHWISE,
    ("lora", "auto"): _FIRST + _POINTWISE + _DEPTHWISE,
    ("lora+norm", "1x1"): _POINTWISE + 2 * _NORMED,
}


def _options(**changed) -> model_options.ModelOptions:
    given = {
        "backbone": "mobilenet@0.25",
        "weights": "none",
        "image_size": 32,
        "trainable": ("all",),
        **changed,
    }
    return model_options.ModelOptions(**given)


@pytest.fixture(scope="module")
def built() -> assembly.Assembly:
    return assembly.build_model(_options(), classification.TASK, "abc", seed=3)


@pytest.mark.quick
def test_numbers_are_those_counted_by_hand(built):
    for (name, layers), count in _EXPECTED.items():
        adapted = adapters.adapt(
            built, _options(adaptation=name, adapter_layers=(layers,))
        )
        sizes = [math.prod(v.shape) for v in adapted.adapter.numbers.values()]
        assert sum(sizes) == count, (name, layers)
        assert f"{count:,} numbers" in adapted.description
        listed = [id(v) for each in adapted.trained.values() for v in each]
        assert {*listed} == {*map(id, adapted.adapter.numbers.values())}
        assert len(listed) == len(sizes)


@pytest.mark.quick
def test_adapters_change_nothing_before_training_and_no_other_weight(built):
    before = [np.array(each) for each in built.model.weights]
    chosen = _options(adaptation="lora+norm", trainable=("top",))
    adapted = adapters.adapt(built, chosen)
    for target, value in adapted.adapter.compute_weights():
        np.testing.assert_array_equal(value, np.asarray(target))
    adapter = adapted.adapter
    for name, variable in adapter.numbers.items():
        if not name.endswith("/a"):
            variable.assign(np.full(variable.shape, 0.5))
    wanted = {id(t): np.array(v) for t, v in adapter.compute_weights()}
    adapted.merge()
    for variable, old in zip(built.model.weights, before, strict=True):
        new = wanted.get(id(variable), old)
        np.testing.assert_array_equal(np.array(variable), new)
    # The weights are found again from those before training.
    merged = adapter.find_merged()
    assert all((merged[n] == 0.5).all() for n in merged if n[-2:] != "/a")
    assembly.assign_values(built.model.weights, before)
    unchanged = adapter.find_merged()
    assert not any(unchanged[n].any() for n in unchanged if n[-2:] != "/a")
    built.model.weights[-1].assign_add(np.ones(built.model.weights[-1].shape))
    adapter.targets[0].assign_add(np.ones(adapter.targets[0].shape))
    assert adapter.find_merged() is None
    assembly.assign_values(built.model.weights, before)


def test_the_first_factor_is_drawn_from_the_seed_and_the_place(built):
    chosen = _options(adaptation="lora", adapter_layers=("conv_pw_1",))
    numbers = adapters.adapt(built, chosen).adapter.numbers
    # conv1, conv1_bn, conv_dw_1, conv_dw_1_bn lie before it.
    name = "4_conv_pw_1/kernel/a"
    # Prefixes: also conv_pw_10 to conv_pw_13, without their batch norms.
    assert len(numbers) == 2 * 5 and name in numbers
    bound = math.sqrt(6 / 8)
    drawn = np.random.default_rng([3, 4, 0]).uniform(-bound, bound, [8, 4])
    np.testing.assert_array_equal(numbers[name], drawn.astype("float32"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"adaptation": "lora", "adapter_layers": ("fc",)},
            "matches no kernel",
        ),
        (
            {"adaptation": "bias", "trainable": ("conv_pw_[2]",)},
            "no layer of that kind",
        ),
        (
            {"adaptation": "lora", "adapter_layers": ("1x1", "conv_pw_99")},
            "^--adapter_layers=conv_pw_99 matches",
        ),
        ({"adaptation": "lora", "trainable": ("head",)}, "names none"),
    ],
)
def test_adapters_that_change_nothing_are_refused(built, changes, words):
    with pytest.raises(errors.UsageError, match=words):
        adapters.adapt(built, _options(**changes))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("norm+bias", "norm and bias change the same"),
        ("lora+lora", "twice"),
        ("freeze+lora", "not joined"),
        ("lora+nrom", "Did you mean"),
        ("lorra", "Did you mean"),
    ],
)
@pytest.mark.quick
def test_impossible_sums_are_refused(name, words):
    with pytest.raises(errors.UsageError, match=words):
        catalog.check_options(_options(adaptation=name))


def test_a_sum_is_applied_in_one_order_and_takes_the_lower_rate():
    assert catalog.list_adapters("norm+lora") == ("lora", "norm")
    assert catalog.list_adapters("mine:adapt") == ()
    assert catalog.find_rate_factor("norm+lora") == 2
    assert catalog.find_rate_factor("freeze") == 1


def test_batch_norm_statistics_and_weights_stay_while_it_trains(built):
    before = [np.array(each) for each in built.backbone.model.weights]
    chosen = _options(adaptation="norm", trainable=("top",))
    adapted = adapters.adapt(built, chosen)
    trainer = adapted.build_trainer(built.trainer)
    trainer.compile(keras.optimizers.SGD(0.1), "mse")
    images = np.random.default_rng(0).uniform(0, 255, [4, 32, 32, 3])
    trainer.fit(images, np.eye(4, 3), batch_size=2, verbose=0)
    for variable, old in zip(built.backbone.model.weights, before, strict=True):
        np.testing.assert_array_equal(np.array(variable), old)
    assert any(v.numpy().any() for v in adapted.adapter.numbers.values())
