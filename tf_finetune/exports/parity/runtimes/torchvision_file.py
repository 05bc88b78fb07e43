"""Runs a state dict in a network of torchvision.

`python -I torchvision_file.py FILE INPUTS.npz OUTPUTS.npz`

Inputs: `images`, RGB 0..255 [n, size, size, 3], `batch_size`, pictures at once,
and `config`, the text of `config.json`. Outputs: `probabilities`, the outputs
behind the activation that the config names.
"""

import json
import struct
import sys

import numpy as np
import torch
import torchvision

_TYPES = {"F32": "<f4", "I64": "<i8"}
_ACTIVATIONS = {
    "linear": lambda logits: logits,
    "sigmoid": torch.sigmoid,
    "softmax": lambda logits: torch.softmax(logits, dim=-1),
}


def read_arrays(path: str) -> dict[str, torch.Tensor]:
    """Reads the tensors of a safetensors file by name, without its library."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        body = file.read()
    header.pop("__metadata__", None)
    found = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        array = np.frombuffer(body[begin:end], _TYPES[entry["dtype"]])
        found[name] = torch.from_numpy(array.reshape(entry["shape"]).copy())
    return found


def main(path: str, inputs: str, outputs: str) -> None:
    """Loads the file strictly, predicts, and writes the predictions.

    Args:
        path: A safetensors file.
        inputs: `.npz` file of the inputs.
        outputs: `.npz` file to write.
    """
    with np.load(inputs) as given:
        images, batch_size = given["images"], int(given["batch_size"])
        config = json.loads(str(given["config"]))
    network = torchvision.models.get_model(
        config["architecture"], weights=None, **config["arguments"]
    )
    network.load_state_dict(read_arrays(path), strict=True)
    network.eval()
    facts = config["pretrained_cfg"]
    mean, std = (
        torch.tensor(facts[name])[:, None, None] for name in ("mean", "std")
    )
    answers = []
    with torch.inference_mode():
        for start in range(0, len(images), batch_size):
            x = torch.from_numpy(images[start : start + batch_size])
            x = (x.permute(0, 3, 1, 2) / 255 - mean) / std
            answers.append(_ACTIVATIONS[config["output"]](network(x)).numpy())
    np.savez(outputs, probabilities=np.concatenate(answers))


if __name__ == "__main__":
    main(*sys.argv[1:])
