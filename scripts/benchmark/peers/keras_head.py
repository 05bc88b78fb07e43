"""The peer: the transfer-learning flow that Keras' own guides teach.

`image_dataset_from_directory`, augmentation and preprocessing as layers of the
model, a frozen base under a new head; then, if asked for, part of the base
unfrozen at a tenth of the learning rate. Prints one JSON line.

    python keras_head.py DATA BACKBONE WEIGHTS [--tuned=third|top]
"""

import argparse
import json
import pathlib
import time

_BEGIN = time.perf_counter()

import keras  # noqa: E402  (the measured time includes it)

_SIZE = (224, 224)
_EPOCHS = 10


def main() -> None:
    """Trains and prints the accuracies."""
    parser = argparse.ArgumentParser()
    for name in ("data", "backbone", "weights"):
        parser.add_argument(name)
    parser.add_argument("--tuned", choices=("third", "top"))
    parser.add_argument("--learning_rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    keras.utils.set_random_seed(given.seed)
    start = time.perf_counter()
    training, validation = (
        keras.utils.image_dataset_from_directory(
            pathlib.Path(given.data) / part, image_size=_SIZE, seed=given.seed
        )
        for part in ("train", "val")
    )
    base, model = build_model(given.backbone, given.weights)
    base.trainable = False
    recorder = _EpochRecorder()
    _fit(model, training, validation, given.learning_rate, 0, recorder)
    if given.tuned:
        unfreeze(base, given.tuned)
        rate = given.learning_rate / 10
        _fit(model, training, validation, rate, _EPOCHS, recorder)
    seconds = time.perf_counter() - start
    accuracy, _ = recorder.epochs[-1]
    reached = next(when for each, when in recorder.epochs if each >= accuracy)
    figures = {
        "accuracy": accuracy,
        "without_start": seconds,
        "reached": reached,
    }
    print(json.dumps(figures))


class _EpochRecorder(keras.callbacks.Callback):
    """Records the validation accuracy of each epoch, and its time."""

    def __init__(self) -> None:
        super().__init__()
        self.epochs: list[tuple[float, float]] = []

    def on_epoch_end(self, epoch, logs=None):
        seconds = time.perf_counter() - _BEGIN
        self.epochs.append((logs["val_accuracy"], seconds))


def unfreeze(base: keras.Model, which: str) -> None:
    """Unfreezes the upper third or the last stage; batch norm stays frozen."""
    base.trainable = True
    if which == "third":
        first = len(base.layers) * 2 // 3
    else:
        names = [layer.name for layer in base.layers]
        first = names.index("block_13_depthwise")
    for layer in base.layers[:first]:
        layer.trainable = False
    for layer in base.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False


def build_model(
    backbone: str,
    weights: str,
    *,
    image_size: int = _SIZE[0],
    outputs: int = 1,
) -> tuple[keras.Model, keras.Model]:
    """Builds a pretrained base, and the model from pixels to logits."""
    settings = {
        "include_top": False,
        "weights": weights,
        "input_shape": (image_size, image_size, 3),
    }
    base = (
        keras.applications.MobileNet(alpha=0.25, **settings)
        if backbone == "mobilenet@0.25"
        else keras.applications.MobileNetV2(**settings)
    )
    images = keras.Input((image_size, image_size, 3))
    x = keras.layers.RandomFlip("horizontal")(images)
    x = keras.layers.RandomRotation(0.2)(x)
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(x)
    x = base(x, training=False)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dropout(0.2)(x)
    return base, keras.Model(images, keras.layers.Dense(outputs)(x))


def _fit(model, training, validation, rate, first_epoch, recorder) -> None:
    model.compile(
        keras.optimizers.Adam(rate),
        keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[keras.metrics.BinaryAccuracy(threshold=0.0, name="accuracy")],
    )
    model.fit(
        training,
        validation_data=validation,
        initial_epoch=first_epoch,
        epochs=first_epoch + _EPOCHS,
        callbacks=[recorder],
        verbose=0,
    )


if __name__ == "__main__":
    main()
