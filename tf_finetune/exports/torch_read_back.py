"""Predictions of an exported PyTorch file without PyTorch.

The file is read by this package's own reader, into a new backbone that has
torchvision's graph; pooling and classifier are computed in NumPy.
"""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import special

from tf_finetune.backbones import build, catalog, torch_names
from tf_finetune.exports import job as jobs
from tf_finetune.exports import torch_classifier
from tf_finetune.exports import torchvision_networks as networks
from tf_finetune.exports.parity import parity_check
from tf_finetune.weights.torch import torch_weights

_ACTIVATIONS = {
    "linear": np.asarray,
    "sigmoid": special.expit,
    "softmax": lambda logits: special.softmax(logits, axis=-1),
}


def predict(
    path: pathlib.Path,
    job: jobs.ExportJob,
    network: networks.Network,
    described: Mapping[str, Any],
) -> np.ndarray:
    """Computes predictions for the pictures of a job's parity check.

    Args:
        path: The safetensors file.
        job: Has the pictures, their size and the backbone.
        network: Network of torchvision that the file is for.
        described: Content of `config.json`: preprocessing and activation.

    Returns:
        Predictions [pictures, outputs], float32.

    Raises:
        RunError: The file does not hold the arrays of the network.
    """
    name = torch_names.find_torch_name(job.options.backbone)
    spec, alpha = catalog.find_spec(name or job.options.backbone)
    # Pictures are scaled below, by the numbers that the file's users get.
    plain = dataclasses.replace(spec, preprocessing="in_graph")
    backbone = build.build_spec(plain, alpha=alpha, image_size=job.image_size)
    file, _ = torch_weights.load(backbone, path)
    facts = described["pretrained_cfg"]
    answers = []
    for part in job.proof.batches():
        # torchvision's ToTensor and Normalize: x / 255, then (x - mean) / std.
        images = parity_check.load_batch(part, job) / np.float32(255)
        scaled = (images - np.float32(facts["mean"])) / np.float32(facts["std"])
        features = np.asarray(backbone.model(scaled, training=False))
        logits = torch_classifier.apply_classifier(
            pool_features(features, network.grid), dict(file.arrays), network
        )
        answers.append(_ACTIVATIONS[described["output"]](logits))
    return np.concatenate(answers)


def pool_features(features: np.ndarray, grid: int) -> np.ndarray:
    """Averages feature maps to a grid, as torch's AdaptiveAvgPool2d does.

    Args:
        features: [n, height, width, channels].
        grid: Positions along each side of the result.

    Returns:
        [n, channels, grid, grid]; position k is the mean of the positions from
        ⌊k·size/grid⌋ up to ⌈(k + 1)·size/grid⌉.
    """
    found = features.transpose(0, 3, 1, 2)
    for axis in (2, 3):
        size = found.shape[axis]
        bands = [
            found.take(
                # Band i is ⌊i·n/g⌋ .. ⌈(i+1)·n/g⌉ - 1: bands overlap where g
                # does not divide n.
                range(place * size // grid, -(-(place + 1) * size // grid)),
                axis=axis,
            ).mean(axis=axis)
            for place in range(grid)
        ]
        found = np.stack(bands, axis=axis)
    return found
