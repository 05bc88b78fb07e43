"""Lower bound: imports, and one forward pass over all pictures.

python keras_forward.py DATA WEIGHTS
"""

import pathlib
import sys

import keras


def main(folder: str, weights: str) -> None:
    """Computes the features of every picture once and discards them."""
    base = keras.applications.MobileNet(
        alpha=0.25,
        include_top=False,
        weights=weights,
        input_shape=(224, 224, 3),
        pooling="avg",
    )
    for part in ("train", "val"):
        pictures = keras.utils.image_dataset_from_directory(
            pathlib.Path(folder) / part, image_size=(224, 224), shuffle=False
        )
        base.predict(pictures.map(lambda x, _: x / 127.5 - 1.0), verbose=0)


if __name__ == "__main__":
    main(*sys.argv[1:])
