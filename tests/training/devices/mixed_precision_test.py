"""Tests of tf_finetune/training/devices/mixed_precision.py."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_finetune.backbones import build
from tf_finetune.training.devices import mixed_precision


def _model() -> keras.Model:
    keras.utils.set_random_seed(0)
    return build.build("small_cnn", image_size=16).model


def _images() -> np.ndarray:
    generator = np.random.default_rng(0)
    return generator.uniform(0, 255, [4, 16, 16, 3]).astype("float32")


def _twin(model: keras.Model, policy: str) -> keras.Model:
    """The same network, built in `policy` but for its preprocessing."""

    def layer_of(layer):
        config = layer.get_config()
        if not isinstance(layer, keras.layers.Rescaling):
            config["dtype"] = policy
        return type(layer).from_config(config)

    twin = keras.models.clone_model(model, clone_function=layer_of)
    twin.set_weights(model.get_weights())
    return twin


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_it_computes_what_a_network_built_in_that_policy_does(policy):
    model = _model()
    before = np.asarray(model(_images()))
    with mixed_precision.apply_policy(model, policy):
        inside = model(_images())
    twin = _twin(model, policy)(_images())
    assert inside.dtype == policy.removeprefix("mixed_")
    assert np.array_equal(tf.cast(inside, "float32"), tf.cast(twin, "float32"))
    after = np.asarray(model(_images()))
    assert after.dtype == np.float32
    assert np.array_equal(before, after)
    assert not np.array_equal(before, np.asarray(inside, "float32"))


def test_weights_stay_float32():
    model = _model()
    with mixed_precision.apply_policy(model, "mixed_float16"):
        model(_images())
        assert {each.dtype for each in model.variables} == {"float32"}


def test_layers_inside_of_layers_follow():
    inputs = keras.Input([3, 8])
    attention = keras.layers.MultiHeadAttention(2, 4)
    model = keras.Model(inputs, attention(inputs, inputs))
    with mixed_precision.apply_policy(model, "mixed_bfloat16"):
        assert attention.query_dense.compute_dtype == "bfloat16"
    assert attention.query_dense.compute_dtype == "float32"


def test_preprocessing_stays_in_float32():
    model = _model()
    with mixed_precision.apply_policy(model, "mixed_float16"):
        assert model.get_layer("preprocess").compute_dtype == "float32"
        assert model.get_layer("stem_conv").compute_dtype == "float16"


def test_an_error_inside_leaves_float32_behind():
    model = _model()
    with (
        pytest.raises(ZeroDivisionError),
        mixed_precision.apply_policy(model, "mixed_float16"),
    ):
        _ = 1 / 0
    assert model.get_layer("stem_conv").dtype_policy.name == "float32"


def test_the_global_policy_is_left_alone():
    with mixed_precision.apply_policy(_model(), "mixed_float16"):
        assert keras.config.dtype_policy().name == "float32"


def test_only_float16_scales_its_loss():
    for policy, scales in (
        ("float32", False),
        ("mixed_bfloat16", False),
        ("mixed_float16", True),
    ):
        optimizer = mixed_precision.add_loss_scaling(
            keras.optimizers.SGD(0.1), policy
        )
        assert scales == isinstance(
            optimizer, keras.optimizers.LossScaleOptimizer
        )
