"""The peer: `image_dataset_from_directory` and `cache()`, a frozen base.

python keras_memory.py FOLDER WEIGHTS
"""

import json
import sys

import keras


def main(folder: str, weights: str) -> None:
    """Trains a head for two epochs, the second from the cache in memory."""
    training, validation = (
        keras.utils.image_dataset_from_directory(
            f"{folder}/{part}", image_size=(64, 64), seed=0
        ).cache()
        for part in ("train", "val")
    )
    base = keras.applications.MobileNet(
        alpha=0.25,
        include_top=False,
        weights=weights,
        input_shape=(64, 64, 3),
        pooling="avg",
    )
    base.trainable = False
    images = keras.Input((64, 64, 3))
    x = base(keras.layers.Rescaling(1 / 127.5, -1)(images), training=False)
    model = keras.Model(images, keras.layers.Dense(2)(x))
    model.compile(
        "adam",
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    history = model.fit(
        training, validation_data=validation, epochs=2, verbose=0
    )
    print(json.dumps({"accuracy": history.history["val_accuracy"][-1]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
