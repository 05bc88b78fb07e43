"""The peer: the transfer-learning flow that Keras' own guides teach.

`image_dataset_from_directory`, augmentation and preprocessing as layers of the
model, a frozen base under a new head for ten epochs, then ten epochs with the
top third of the base unfrozen at a tenth of the learning rate. Prints one JSON
line with the validation accuracy after each part.

    python scripts/benchmark/keras_tutorial.py DATA WEIGHTS [LEARNING_RATE]
"""

import json
import pathlib
import sys

import keras

_SIZE = (224, 224)
_EPOCHS = 10


def main(data: str, weights: str, learning_rate: str = "1e-3") -> None:
    """Trains and prints the accuracies."""
    keras.utils.set_random_seed(0)
    training, validation = (
        keras.utils.image_dataset_from_directory(
            pathlib.Path(data) / part, image_size=_SIZE, seed=0
        )
        for part in ("train", "val")
    )
    base, model = _model(weights)
    base.trainable = False
    head = _fit(model, training, validation, float(learning_rate), 0)
    base.trainable = True
    for layer in base.layers[: len(base.layers) * 2 // 3]:
        layer.trainable = False
    tuned = _fit(
        model, training, validation, float(learning_rate) / 10, _EPOCHS
    )
    print(json.dumps({"head": head, "fine_tuned": tuned}))


def _model(weights: str) -> tuple[keras.Model, keras.Model]:
    base = keras.applications.MobileNet(
        alpha=0.25, include_top=False, weights=weights, input_shape=(*_SIZE, 3)
    )
    images = keras.Input((*_SIZE, 3))
    x = keras.layers.RandomFlip("horizontal")(images)
    x = keras.layers.RandomRotation(0.2)(x)
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(x)
    x = base(x, training=False)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dropout(0.2)(x)
    return base, keras.Model(images, keras.layers.Dense(1)(x))


def _fit(model, training, validation, learning_rate, first_epoch) -> float:
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[keras.metrics.BinaryAccuracy(threshold=0.0, name="accuracy")],
    )
    done = model.fit(
        training,
        validation_data=validation,
        initial_epoch=first_epoch,
        epochs=first_epoch + _EPOCHS,
        verbose=0,
    )
    return done.history["val_accuracy"][-1]


if __name__ == "__main__":
    main(*sys.argv[1:])
