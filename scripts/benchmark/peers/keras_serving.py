"""The peer: the SavedModel of `Model.export`, batches of 32, loaded and warm.

It takes arrays; encoded pictures are decoded before it, in a loop of graph
operations.

python keras_serving.py FOLDER MODEL bytes|arrays
"""

import json
import pathlib
import sys
import tempfile
import time

import keras
import numpy as np
import tensorflow as tf


@tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
def decode(contents: tf.Tensor) -> tf.Tensor:
    """Decodes pictures to float32 [batch, 224, 224, 3]."""

    def one(each: tf.Tensor) -> tf.Tensor:
        image = tf.io.decode_image(each, channels=3, expand_animations=False)
        return tf.image.resize(image, [224, 224])

    spec = tf.TensorSpec([224, 224, 3], tf.float32)
    return tf.map_fn(one, contents, fn_output_signature=spec)


def main(folder: str, path: str, kind: str) -> None:
    """Prints pictures per second."""
    with tempfile.TemporaryDirectory() as export:
        keras.saving.load_model(path).export(export, verbose=False)
        served = tf.saved_model.load(export)
    paths = sorted(pathlib.Path(folder).glob("*/*.jp*g"))[:128]
    contents = [path.read_bytes() for path in paths]
    images = np.random.default_rng(0).uniform(0, 255, (32, 224, 224, 3))
    images = tf.constant(images, tf.float32)

    def once() -> None:
        for first in range(0, len(contents), 32):
            block = images
            if kind == "bytes":
                block = decode(tf.constant(contents[first : first + 32]))
            served.serve(block).numpy()

    once()  # Warm-up.
    start = time.perf_counter()
    for _ in range(3):
        once()
    seconds = time.perf_counter() - start
    print(json.dumps({"rate": 3 * len(contents) / seconds}))


if __name__ == "__main__":
    main(*sys.argv[1:])
