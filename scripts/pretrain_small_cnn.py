"""Pretrains the weights that the quickstart fine-tunes.

Trains `small_cnn` from scratch on scikit-learn's handwritten digits 0-4 and
writes the backbone's weights into the package, or to --output:

    python scripts/pretrain_small_cnn.py [--epochs=40] [--output=FILE]
"""

import argparse
import pathlib
import tempfile

import keras

import tf_finetune as tff
from tf_finetune import files

_TARGET = (
    pathlib.Path(__file__).parents[1]
    / "tf_finetune/backbones/assets/small_cnn_digits.weights.h5"
)


def main() -> None:
    """Trains on the digits 0-4 and writes the backbone's weights."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--output", type=pathlib.Path, default=_TARGET)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = tff.fine_tune(
            "digits:0-4",
            backbone="small_cnn",
            weights="none",
            image_size=32,
            trainable="all",
            freeze_batch_norm=False,
            head_init="random",
            optimizer="adam",
            learning_rate=2e-3,
            clip_norm=None,
            augmentation="none",
            epochs=given.epochs,
            patience=given.epochs,
            recipe="none",
            workdir=f"{folder}/run",
        )
    features = run.model.get_layer("features")
    backbone = keras.Model(run.model.input, features.input)
    with files.replacing(given.output) as temporary:
        backbone.save_weights(temporary)
    print(f"{given.output}: {given.output.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
