"""Tests of tf_finetune/training/devices/device_settings.py."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_finetune.backbones import build
from tf_finetune.training.devices import device_settings


def _settings(precision="auto", onednn="on", **facts):
    facts = {"kind": "gpu", "name": "A", **facts}
    found = device_settings.Device(**facts)
    return device_settings.choose_settings(found, precision, onednn=onednn)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"kind": "cpu"}, "float32"),
        ({"kind": "cpu", "replicas": 2}, "float32"),
        ({"kind": "tpu", "replicas": 8}, "mixed_bfloat16"),
        ({"compute_capability": (6, 1)}, "float32"),
        ({"compute_capability": (7, 0)}, "mixed_float16"),
        ({"compute_capability": (9, 0)}, "mixed_float16"),
        ({"compute_capability": None}, "float32"),
        ({"compute_capability": (7, 5), "replicas": 2}, "mixed_float16"),
    ],
)
def test_auto_takes_what_the_device_has_units_for(facts, expected):
    assert _settings(**facts).precision == expected


def test_what_the_user_asks_for_wins():
    settings = _settings("mixed_bfloat16", kind="cpu")
    assert settings.precision == "mixed_bfloat16"
    assert "as requested" in settings.line


def test_float16_may_be_asked_for_on_several_replicas():
    assert _settings("mixed_float16", replicas=2).precision == "mixed_float16"


def test_xla_is_left_out_on_a_cpu_only():
    assert _settings(kind="cpu").jit_compile is False
    assert _settings().jit_compile == "auto"


def test_everything_is_said_in_one_line():
    line = _settings(kind="cpu", name="CPU (2 cores)", onednn="off").line
    assert line.startswith("device: CPU (2 cores): float32")
    assert line.endswith("oneDNN off")
    assert "\n" not in line
    assert _settings(replicas=4).line.startswith("device: 4 x A: ")


def test_the_device_of_this_machine_is_found():
    import tensorflow as tf

    found = device_settings.detect_device(tf.distribute.get_strategy())
    has_gpu = bool(tf.config.list_physical_devices("GPU"))
    assert found.kind == ("gpu" if has_gpu else "cpu")
    assert found.replicas == 1


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
    with device_settings.apply_policy(model, policy):
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
    with device_settings.apply_policy(model, "mixed_float16"):
        model(_images())
        assert {each.dtype for each in model.variables} == {"float32"}


def test_layers_inside_of_layers_follow():
    inputs = keras.Input([3, 8])
    attention = keras.layers.MultiHeadAttention(2, 4)
    model = keras.Model(inputs, attention(inputs, inputs))
    with device_settings.apply_policy(model, "mixed_bfloat16"):
        assert attention.query_dense.compute_dtype == "bfloat16"
    assert attention.query_dense.compute_dtype == "float32"


def test_preprocessing_stays_in_float32():
    model = _model()
    with device_settings.apply_policy(model, "mixed_float16"):
        assert model.get_layer("preprocess").compute_dtype == "float32"
        assert model.get_layer("stem_conv").compute_dtype == "float16"


def test_an_error_inside_leaves_float32_behind():
    model = _model()
    with (
        pytest.raises(ZeroDivisionError),
        device_settings.apply_policy(model, "mixed_float16"),
    ):
        _ = 1 / 0
    assert model.get_layer("stem_conv").dtype_policy.name == "float32"


def test_the_global_policy_is_left_alone():
    with device_settings.apply_policy(_model(), "mixed_float16"):
        assert keras.config.dtype_policy().name == "float32"


def test_only_float16_scales_its_loss():
    for policy, scales in (
        ("float32", False),
        ("mixed_bfloat16", False),
        ("mixed_float16", True),
    ):
        optimizer = device_settings.add_loss_scaling(
            keras.optimizers.SGD(0.1), policy
        )
        assert scales == isinstance(
            optimizer, keras.optimizers.LossScaleOptimizer
        )
