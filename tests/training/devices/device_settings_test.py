"""Tests of tf_finetune/training/devices/device_settings.py."""

import pytest

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
