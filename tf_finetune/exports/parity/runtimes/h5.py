"""Loads a file of weights (`.weights.h5`) into its network with plain Keras.

`python -I h5.py FILE INPUTS.npz OUTPUTS.npz`

Inputs: `network`, the string of `served_model.to_json()`; `images`, and
`batch_size`, pictures at once. Outputs: `probabilities`.
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
    """Builds the network, loads the weights into it and predicts."""
    with np.load(inputs) as given:
        images, batch_size = given["images"], int(given["batch_size"])
        network = str(given["network"])
    model = keras.models.model_from_json(network)
    model.load_weights(path)
    answers = [
        model.predict_on_batch(images[start : start + batch_size])
        for start in range(0, len(images), batch_size)
    ]
    np.savez(outputs, probabilities=np.concatenate(answers))


if __name__ == "__main__":
    main(*sys.argv[1:])
