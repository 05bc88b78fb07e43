"""The peer: `image_dataset_from_directory` and augmentation layers.

python keras_input.py FOLDER none|light [bilinear|area] [PASSES]
"""

import json
import sys
import time

import keras
import tensorflow as tf


def main(
    folder: str,
    level: str,
    interpolation: str = "bilinear",
    passes: str = "3",
) -> None:
    """Prints pictures per second, decoded and augmented."""
    batches = keras.utils.image_dataset_from_directory(
        folder,
        image_size=(224, 224),
        interpolation=interpolation,
        label_mode="int",
        seed=0,
    )
    if level == "light":
        layers = keras.Sequential(
            [
                keras.layers.RandomFlip("horizontal"),
                keras.layers.RandomTranslation(0.05, 0.05),
                keras.layers.RandomZoom((-0.2, 0.0)),
            ]
        )
        batches = batches.map(
            lambda x, y: (layers(x, training=True), y), tf.data.AUTOTUNE
        )
    batches = batches.prefetch(tf.data.AUTOTUNE)
    next(iter(batches))
    start, count = time.perf_counter(), 0
    for _ in range(int(passes)):
        for images, _ in batches:
            count += len(images)
    print(json.dumps({"rate": count / (time.perf_counter() - start)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
