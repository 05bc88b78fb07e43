"""Runs a `.keras` file with plain Keras.

`python -I keras_file.py FILE INPUTS.npz OUTPUTS.npz`

Inputs: `images`, or all that a model of several inputs takes, by name; and
`batch_size`, how many rows go in at once. Outputs: `probabilities`, or whatever
the model's one output is.
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
    with np.load(inputs) as file:
        given = dict(file)
    batch_size = int(given.pop("batch_size"))
    model = keras.saving.load_model(path, compile=False, safe_mode=True)
    answers = []
    for start in range(0, len(given["images"]), batch_size):
        rows = {
            key: value[start : start + batch_size]
            for key, value in given.items()
        }
        alone = len(model.inputs) == 1
        answers.append(
            model.predict_on_batch(rows["images"] if alone else rows)
        )
    np.savez(outputs, probabilities=np.concatenate(answers))


if __name__ == "__main__":
    main(*sys.argv[1:])
