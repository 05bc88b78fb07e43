"""Tests of tf_finetune/config/memory_check.py."""

import pytest

from tf_finetune import errors
from tf_finetune.config import memory_check, options, train_config


@pytest.fixture(autouse=True)
def _memory(monkeypatch):
    """A machine of 16 GB."""
    monkeypatch.setattr(memory_check, "_read_memory_bytes", lambda: 16 * 10**9)


def _check(image_size: int = 224, **keywords) -> None:
    config = options.from_keywords(
        train_config.TrainConfig, {"data": "x", **keywords}
    )
    memory_check.check_memory(config, image_size)


@pytest.mark.parametrize(
    ("image_size", "keywords", "words"),
    [
        # 1e12 pixels of 3 float32.
        (1_000_000, {}, "--image_size=1000000 cannot fit.* 12,000 GB"),
        (8_000, {}, r"--batch_size=32 .*8000 x 8000 pixels.* 25 GB"),
        (224, {"batch_size": 10**6}, "--batch_size=1000000 .* 602 GB"),
        (224, {"head": "mlp", "head_units": 10**9}, "--head_units=10+ .* 192"),
        (224, {"head_layers": "100000,relu,100000"}, "--head_layers=100000,"),
    ],
)
def test_what_can_never_fit_is_refused_with_its_need(
    image_size, keywords, words
):
    with pytest.raises(errors.UsageError, match=words) as refused:
        _check(image_size, **keywords)
    assert "this machine has 16 GB" in str(refused.value)


@pytest.mark.parametrize(
    ("image_size", "keywords"),
    [
        (224, {}),
        (1024, {"batch_size": 256}),
        (8_000, {"batch_size": 1}),
        (8_000, {"batch_size": "auto"}),
        (224, {"batch_size": 10**6, "strategy": "multi_worker"}),
        (224, {"head_layers": "4096,relu,dropout:0.5,4096"}),
    ],
)
def test_what_may_fit_is_left_alone(image_size, keywords):
    _check(image_size, **keywords)


def test_a_machine_that_does_not_tell_its_memory_refuses_nothing(monkeypatch):
    monkeypatch.setattr(memory_check, "_read_memory_bytes", lambda: 0)
    _check(10**6)


def test_a_command_with_an_impossible_size_ends_before_pictures_are_read():
    from tf_finetune.preflight import train

    config = options.from_keywords(
        train_config.TrainConfig,
        {"data": "nowhere", "weights": "none", "image_size": 10**6},
    )
    with pytest.raises(errors.UsageError, match="cannot fit"):
        train.check_config(config)
