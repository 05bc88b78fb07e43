"""Runs a LiteRT file (`.tflite`) with its stock interpreter.

`python -I litert.py FILE INPUTS.npz OUTPUTS.npz`

Inputs: `images`, RGB 0..255, and `batch_size`, pictures at once. Outputs:
`probabilities`. Integers are scaled as the file's quantization says.
"""

import sys

import numpy as np

# The interpreter of phones and boards. TensorFlow's `tf.lite.Interpreter` is
# deprecated and may know operations that LiteRT does not.
from ai_edge_litert.interpreter import Interpreter


def main(path: str, inputs: str, outputs: str) -> None:
    """Runs the file without a Flex delegate and writes its predictions.

    Args:
        path: A `.tflite` file.
        inputs: `.npz` file of the inputs.
        outputs: `.npz` file to write.
    """
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
    interpreter.resize_tensor_input(source["index"], images.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(source["index"], _whole(images, source["dtype"]))
    interpreter.invoke()
    target = interpreter.get_output_details()[0]
    answer = interpreter.get_tensor(target["index"])
    if not np.issubdtype(target["dtype"], np.integer):
        return answer
    # value = scale * (integer - zero_point), LiteRT's quantization
    # specification.
    scale, zero = target["quantization"]
    return (answer.astype("float32") - zero) * scale


def _whole(images: np.ndarray, dtype: type) -> np.ndarray:
    # Resizing gives fractions; the file takes whole bytes, as from a camera.
    return np.rint(images).astype(dtype) if dtype == np.uint8 else images


if __name__ == "__main__":
    main(*sys.argv[1:])
