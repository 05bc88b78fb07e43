"""Tests of tf_finetune/training/distributed/strategies.py."""

import pytest
import tensorflow as tf

from tf_finetune import errors
from tf_finetune.training.distributed import strategies


def test_one_device_is_tensorflows_default_strategy():
    for name in ("auto", "one_device"):
        if tf.config.list_logical_devices("GPU") and name == "auto":
            continue
        assert strategies.build_strategy(name) is tf.distribute.get_strategy()


def test_mirrored_takes_what_this_machine_has():
    chosen = strategies.build_strategy("mirrored")
    assert isinstance(chosen, tf.distribute.MirroredStrategy)
    assert chosen.num_replicas_in_sync >= 1


def test_a_missing_tpu_is_a_sentence_with_the_way_out():
    with pytest.raises(errors.RunError, match="--strategy=tpu cannot start"):
        strategies.build_strategy("tpu")
