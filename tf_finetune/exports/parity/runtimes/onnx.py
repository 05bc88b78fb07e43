"""Runs an ONNX file with ONNX Runtime.

`python -I onnx.py FILE INPUTS.npz OUTPUTS.npz`

Inputs: `images`, and `batch_size`, pictures at once. Outputs: `probabilities`.
"""

import sys

import numpy as np
import onnxruntime


def main(path: str, inputs: str, outputs: str) -> None:
    """Runs the file on the CPU and writes its predictions.

    Args:
        path: An `.onnx` file.
        inputs: `.npz` file of the inputs.
        outputs: `.npz` file to write.
    """
    with np.load(inputs) as given:
        images, batch_size = given["images"], int(given["batch_size"])
    # The only provider that every build of ONNX Runtime has.
    session = onnxruntime.InferenceSession(
        path, providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name
    answers = [
        session.run(None, {name: images[start : start + batch_size]})[0]
        for start in range(0, len(images), batch_size)
    ]
    np.savez(outputs, probabilities=np.concatenate(answers))


if __name__ == "__main__":
    main(*sys.argv[1:])
