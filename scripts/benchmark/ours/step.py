"""Measures full training steps of this package.

python step.py BACKBONE
"""

import json
import sys
import time

from tf_finetune import environment
from tf_finetune.config import options, train_config

_BATCH, _WARM, _STEPS = 32, 2, 4
_SIDE = 2048  # Of the matrices whose product is the machine's peak.


def main(backbone: str) -> None:
    """Prints pictures per second, and the share of the machine's peak."""
    environment.start_tensorflow()
    import numpy as np

    from tf_finetune.adaptation import freeze
    from tf_finetune.model import assembly, fast_batch_norm
    from tf_finetune.tasks import catalog as tasks
    from tf_finetune.training import fine_tuning
    from tf_finetune.training.devices import device_settings

    config = options.from_keywords(
        train_config.TrainConfig,
        {
            "data": "x",
            "backbone": backbone,
            "optimizer": "momentum",
            "trainable": "all",
            "freeze_batch_norm": False,
        },
    )
    task = tasks.TASKS.get("classification")
    names = ("a", "b")
    built = assembly.build_model(config.model, task, names, seed=0)
    targets = np.eye(2, dtype="float32")[np.arange(_BATCH) % 2]
    settings = device_settings.choose_settings(
        device_settings.Device(kind="cpu", name="CPU"),
        "auto",
        onednn=environment.describe_onednn(),
    )
    adapted = freeze.adapt(built, config.model)
    model = fine_tuning.compile_trainer(
        adapted.build_trainer(built.trainer),
        config,
        adapted=adapted,
        loss=task.network.loss(config.training, names, None),
        metrics=task.network.metrics(names),
        num_examples=_BATCH,
        settings=settings,
    )
    images = np.random.default_rng(0).uniform(0, 255, (_BATCH, 224, 224, 3))
    images = images.astype("float32")
    with fast_batch_norm.accelerate(model):
        for number in range(_WARM + _STEPS):
            if number == _WARM:
                start = time.perf_counter()
            model.train_on_batch(images, targets)
    rate = _STEPS * _BATCH / (time.perf_counter() - start)
    work = _count_multiplications(built.trainer)
    # A multiplication and an addition each; the backward pass takes twice the
    # operations of the forward pass.
    share = 3 * 2 * work * rate / _measure_peak()
    print(json.dumps({"rate": rate, "share of matrix product": share}))


def _count_multiplications(model) -> float:
    import math

    return sum(
        math.prod(weight.shape) * math.prod(layer.output.shape[1:-1])
        for layer in model.layers
        for weight in layer.weights
        if len(weight.shape) > 1
    )


def _measure_peak() -> float:
    """Measures a matrix product, floating-point operations per second."""
    import tensorflow as tf

    a = tf.random.uniform([_SIDE, _SIDE])
    tf.matmul(a, a).numpy()
    start = time.perf_counter()
    for _ in range(5):
        tf.matmul(a, a).numpy()
    # A product of two n x n matrices takes 2 n³ operations.
    return 5 * 2 * _SIDE**3 / (time.perf_counter() - start)


if __name__ == "__main__":
    main(*sys.argv[1:])
