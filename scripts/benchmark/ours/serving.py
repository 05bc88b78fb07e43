"""Measures answers of our SavedModel, batches of 32, loaded and warm.

python serving.py FOLDER EXPORT bytes|arrays
"""

import json
import pathlib
import sys
import time

import numpy as np

from tf_finetune import environment


def main(folder: str, export: str, kind: str) -> None:
    """Prints pictures per second."""
    environment.start_tensorflow()
    import tensorflow as tf

    version = max(pathlib.Path(export).glob("*/saved_model.pb")).parent
    signatures = tf.saved_model.load(str(version)).signatures
    paths = sorted(pathlib.Path(folder).glob("*/*.jp*g"))[:128]
    contents = [path.read_bytes() for path in paths]
    images = np.random.default_rng(0).uniform(0, 255, (32, 224, 224, 3))
    images = tf.constant(images, tf.float32)

    def once() -> None:
        for first in range(0, len(contents), 32):
            if kind == "arrays":
                answer = signatures["serve_array"](images=images)
            else:
                block = tf.constant(contents[first : first + 32])
                answer = signatures["serving_default"](image_bytes=block)
            answer["probabilities"].numpy()

    once()  # Warm-up.
    start = time.perf_counter()
    for _ in range(3):
        once()
    seconds = time.perf_counter() - start
    print(json.dumps({"rate": 3 * len(contents) / seconds}))


if __name__ == "__main__":
    main(*sys.argv[1:])
