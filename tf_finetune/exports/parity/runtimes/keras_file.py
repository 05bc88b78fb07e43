"""Runs a `.keras` file, or a file of weights, with plain Keras.

`python -I keras_file.py FILE INPUTS.npz OUTPUTS.npz`

Inputs: `images`, or all inputs of a model of several, by name; `batch_size`,
rows at once; and for a file of weights `network`, the string of
`served_model.to_json()`. Outputs: `probabilities`, the model's one output, also
where that is something else.
"""

import sys

import numpy as np

# None in sys.modules makes an import fail: the file must load where this
# package is not installed. The other two are optional for Keras; without them
# it starts in a third less time.
for _absent in ("tf_finetune", "sklearn", "matplotlib"):
    sys.modules[_absent] = None

import keras  # noqa: E402


def main(path: str, inputs: str, outputs: str) -> None:
    """Loads the file with `safe_mode`, predicts, and writes the predictions.

    Args:
        path: A `.keras` file, or a file of weights.
        inputs: `.npz` file of the inputs.
        outputs: `.npz` file to write.
    """
    with np.load(inputs) as file:
        given = dict(file)
    batch_size = int(given.pop("batch_size"))
    if "network" in given:
        model = keras.models.model_from_json(str(given.pop("network")))
        model.load_weights(path)
    else:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    answers = []
    for start in range(0, len(given["images"]), batch_size):
        rows = {
            key: value[start : start + batch_size]
            for key, value in given.items()
        }
        # A model of one input takes an array, one of several a dictionary.
        alone = len(model.inputs) == 1
        answers.append(
            model.predict_on_batch(rows["images"] if alone else rows)
        )
    np.savez(outputs, probabilities=np.concatenate(answers))


if __name__ == "__main__":
    main(*sys.argv[1:])
