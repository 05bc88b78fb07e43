"""The peer: full training steps of a Keras application as it comes.

python keras_step.py BACKBONE
"""

import json
import sys
import time

import keras
import numpy as np

_BATCH, _WARM, _STEPS = 32, 2, 4


def main(backbone: str) -> None:
    """Prints pictures per second."""
    names = {"resnet50": "ResNet50", "mobilenet_v2": "MobileNetV2"}
    base = getattr(keras.applications, names[backbone])(
        include_top=False,
        weights=None,
        pooling="avg",
        input_shape=(224, 224, 3),
    )
    model = keras.Sequential([base, keras.layers.Dense(2)])
    model.compile(
        keras.optimizers.SGD(1e-3, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    images = np.random.default_rng(0).normal(size=(_BATCH, 224, 224, 3))
    labels = np.arange(_BATCH) % 2
    for number in range(_WARM + _STEPS):
        if number == _WARM:
            start = time.perf_counter()
        model.train_on_batch(images.astype("float32"), labels)
    seconds = time.perf_counter() - start
    print(json.dumps({"rate": _STEPS * _BATCH / seconds}))


if __name__ == "__main__":
    main(*sys.argv[1:])
