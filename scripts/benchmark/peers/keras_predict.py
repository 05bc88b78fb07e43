"""The peer: `model.predict` on a folder.

python keras_predict.py FOLDER MODEL
"""

import json
import sys
import time

import keras


def main(folder: str, path: str) -> None:
    """Prints pictures per second, without the loading of the model."""
    model = keras.saving.load_model(path)
    images = keras.utils.image_dataset_from_directory(
        folder, image_size=model.input_shape[1:3], labels=None, shuffle=False
    )
    start = time.perf_counter()
    count = len(model.predict(images, verbose=0))
    print(json.dumps({"rate": count / (time.perf_counter() - start)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
