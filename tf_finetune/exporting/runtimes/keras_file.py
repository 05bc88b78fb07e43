"""Runs a `.keras` file with plain Keras.

`python -I keras_file.py FILE INPUTS.npz OUTPUTS.npz`

Inputs: `images`, and `batch_size`, how many go in at once. Outputs:
`probabilities`.
"""

import sys

import numpy as np

# Must load where this package is not installed, nor what Keras can do without,
# which is a third of the time that it takes to start.
for _absent in ("tf_finetune", "sklearn", "matplotlib"):
    sys.modules[_absent] = None

import keras  # noqa: E402


def main(path: str, inputs: str, outputs: str) -> None:
    """Loads the file, which may run no code of its own, and predicts."""
    with np.load(inputs) as given:
        images, batch_size = given["images"], int(given["batch_size"])
    model = keras.saving.load_model(path, compile=False, safe_mode=True)
    answers = [
        model.predict_on_batch(images[start : start + batch_size])
        for start in range(0, len(images), batch_size)
    ]
    np.savez(outputs, probabilities=np.concatenate(answers))


if __name__ == "__main__":
    main(*sys.argv[1:])
