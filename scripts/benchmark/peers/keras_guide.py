"""The peer: Keras' transfer-learning guide, within a wall time.

Half of the time goes to the head at 1e-3, half to the upper third of the
network at 1e-4, in whole epochs, batch norm frozen. The epoch with the lowest
validation loss is kept, as the guides' `ModelCheckpoint` does.

    python keras_guide.py DATA BACKBONE WEIGHTS OUTPUT --seconds=60
"""

import pathlib
import time

_BEGIN = time.perf_counter()

import keras  # noqa: E402  (the measured time includes it)
import keras_head  # noqa: E402
import numpy as np  # noqa: E402
import recipe_flags  # noqa: E402

_MOST_EPOCHS = 1000


def main() -> None:
    """Trains and writes the probabilities of the test pictures."""
    given = recipe_flags.read_flags()
    keras.utils.set_random_seed(given.seed)
    training, validation, test = (
        keras.utils.image_dataset_from_directory(
            pathlib.Path(given.data) / part,
            image_size=(given.image_size,) * 2,
            seed=given.seed,
            shuffle=part == "train",
        )
        for part in ("train", "val", "test")
    )
    classes = len(training.class_names)
    base, model = keras_head.build_model(
        given.backbone,
        given.weights,
        image_size=given.image_size,
        outputs=classes,
    )
    base.trainable = False
    _fit(model, training, validation, 1e-3, given.seconds / 2)
    keras_head.unfreeze(base, "third")
    _fit(model, training, validation, 1e-4, given.seconds)
    labels = np.concatenate([batch.numpy() for _, batch in test])
    logits = model.predict(test, verbose=0)
    np.savez(
        given.output,
        probabilities=keras.ops.convert_to_numpy(keras.ops.softmax(logits)),
        labels=labels,
        measuring_seconds=0.0,
    )


class _TimeLimit(keras.callbacks.Callback):
    """Stops before the epoch that would end after the limit."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._until = _BEGIN + seconds
        self._begin = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        self._begin = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        now = time.perf_counter()
        if now + (now - self._begin) > self._until:
            self.model.stop_training = True


def _fit(model, training, validation, rate: float, until: float) -> None:
    """Trains until `until` seconds after the start of the process."""
    model.compile(
        keras.optimizers.Adam(rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    best = keras.callbacks.EarlyStopping(
        patience=_MOST_EPOCHS, restore_best_weights=True
    )
    model.fit(
        training,
        validation_data=validation,
        epochs=_MOST_EPOCHS,
        callbacks=[_TimeLimit(until), best],
        verbose=0,
    )


if __name__ == "__main__":
    main()
