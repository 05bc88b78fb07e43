"""Weights and pictures of the golden vectors, the same with and without torch.

`scripts/write_torch_golden.py` computes the vectors with torchvision.
"""

import json
import pathlib

import numpy as np

FOLDER = pathlib.Path(__file__).parent / "weights" / "torch" / "golden"
COUNT = 16
"""How many numbers of the last feature map are stored."""


def fill_arrays(shapes, gain=1, seed=0):
    """Draws a state dict: weights and statistics of batch norms, both random.

    Args:
        shapes: By name.
        gain: Variance of kernels times their fan-in. With 2, MobileNetV2
            saturates and magnifies the rounding of float32, in PyTorch too, to
            5e-5; with 1, EfficientNet hardly depends on its picture.
        seed: Of the draws, which are made in the order of the names.
    """
    random = np.random.Generator(np.random.PCG64(seed))
    found = {}
    for name in sorted(shapes):
        shape = tuple(shapes[name])
        if name.endswith("layer_scale"):
            value = 0.3 * random.standard_normal(shape)
        elif len(shape) > 1:
            scale = np.sqrt(gain / np.prod(shape[1:]))
            value = scale * random.standard_normal(shape)
        elif name.endswith((".weight", ".running_var")):
            value = random.uniform(0.5, 1.5, shape)
        else:
            value = 0.1 * random.standard_normal(shape)
        found[name] = value.astype("float32")
    return found


def draw_image(side, seed=7):
    """Draws a picture, [side, side, 3] RGB 0..255."""
    random = np.random.Generator(np.random.PCG64(seed))
    return random.integers(0, 256, (side, side, 3)).astype("float32")


def choose_positions(size, seed=11):
    """Draws the places of the stored numbers in the flat feature map."""
    random = np.random.Generator(np.random.PCG64(seed))
    return random.integers(0, size, COUNT)


def read_vector(name):
    """Reads the golden vector of a network."""
    return json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
