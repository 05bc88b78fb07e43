"""Runs a LiteRT file (`.tflite`) with its stock interpreter.

`python -I litert.py FILE INPUTS.npz OUTPUTS.npz`

Inputs: `images`, and `batch_size`, how many go in at once. Outputs:
`probabilities`.
"""

import sys

import numpy as np

try:
    # LiteRT itself, which phones and boards run. TensorFlow's own copy is
    # deprecated and stands in where only TensorFlow is installed.
    from ai_edge_litert.interpreter import Interpreter
except ModuleNotFoundError:
    from tensorflow.lite import Interpreter


def main(path: str, inputs: str, outputs: str) -> None:
    """Loads the file without any delegate for Flex operations."""
    with np.load(inputs) as given:
        images, batch_size = given["images"], int(given["batch_size"])
    interpreter = Interpreter(model_path=path)
    answers = [
        _answer(interpreter, images[start : start + batch_size])
        for start in range(0, len(images), batch_size)
    ]
    np.savez(outputs, probabilities=np.concatenate(answers))


def _answer(interpreter: Interpreter, images: np.ndarray) -> np.ndarray:
    source = interpreter.get_input_details()[0]
    if tuple(source["shape"]) != images.shape:
        interpreter.resize_tensor_input(source["index"], images.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(source["index"], images.astype(source["dtype"]))
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


if __name__ == "__main__":
    main(*sys.argv[1:])
