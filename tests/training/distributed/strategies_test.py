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


# How many devices there are is settled once a process.
_TWO_STRATEGIES = """
import tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * 2)
from tf_finetune.training.distributed import strategies
for size in (3, 5):
    strategy = strategies.build_strategy("mirrored")
    @tf.function
    def add(size=size):
        context = tf.distribute.get_replica_context()
        return context.all_reduce("sum", tf.ones(size))
    _, found = strategy.experimental_local_results(strategy.run(add))
    print(found.numpy().tolist())
"""


def test_a_process_has_runs_of_several_shapes(start, tmp_path):
    done = start(["-c", _TWO_STRATEGIES], tmp_path).wait(timeout=100)
    assert done.stdout.splitlines() == [str([2.0] * 3), str([2.0] * 5)]


def test_a_missing_tpu_is_a_sentence_with_the_way_out():
    with pytest.raises(errors.RunError, match="--strategy=tpu cannot start"):
        strategies.build_strategy("tpu")
