"""Trains a toy network in two stages; prints its weights as JSON.

`python replica_stages.py`: in one process, with accumulated gradients, and on
two replicas.
"""

import json

import keras
import numpy as np
import tensorflow as tf

from tf_finetune.config import training_options
from tf_finetune.training import fit, optimizer_state, optimizers, train_step
from tf_finetune.training.distributed import replicas

_STEPS = 3


def _compile(network: keras.Model, pieces: int, *, continues: bool):
    options = training_options.TrainingOptions(
        optimizer="adam",
        learning_rate=0.1,
        schedule="constant",
        warmup_fraction=0,
        clip_norm=1.0,
    )
    plan = optimizers.make_schedule(options, steps_per_epoch=_STEPS)
    is_ours = pieces > 0
    if is_ours:
        network = train_step.Trainer.from_model(network, micro_batches=pieces)
    network.compile(
        optimizer=optimizers.build_optimizer(
            options, plan, sums=is_ours, continues=continues
        ),
        loss="mse",
    )
    return network


def _train(model: keras.Model) -> None:
    fit._build_optimizer(model)
    inputs = np.random.default_rng(0).normal(size=[8, 4]).astype("float32")
    batches = tf.data.Dataset.from_tensor_slices((inputs, inputs[:, :2]))
    model.fit(
        replicas.distribute_batches(
            batches.batch(8).repeat(_STEPS), tf.distribute.get_strategy()
        ),
        steps_per_epoch=_STEPS,
        verbose=0,
        shuffle=False,
    )


def _train_in_stages(strategy: tf.distribute.Strategy, pieces: int) -> list:
    """Trains the last layer, then both; 0 `pieces`: by Keras' own step."""
    with strategy.scope():
        keras.utils.set_random_seed(0)
        images, lower = keras.Input([4]), keras.layers.Dense(3)
        network = keras.Model(images, keras.layers.Dense(2)(lower(images)))
        lower.trainable = False
        first = _compile(network, pieces, continues=False)
        _train(first)
        carried = optimizer_state.capture_state(first)
        lower.trainable = True
        second = _compile(network, pieces, continues=True)
        optimizer_state.carry_over(second, carried)
        _train(second)
        return [np.asarray(each).tolist() for each in network.weights]


if __name__ == "__main__":
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * 2,
    )
    mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    alone = tf.distribute.get_strategy()
    runs = ((alone, 0), (alone, 2), (mirrored, 1))
    print(json.dumps([_train_in_stages(*each) for each in runs]))
