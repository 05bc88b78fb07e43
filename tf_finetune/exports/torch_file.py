"""Export to PyTorch: a state dict for a network of torchvision."""

import importlib.util
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from absl import logging

from tf_finetune import errors, files
from tf_finetune.exports import (
    catalog,
    export_files,
    float32_model,
    input_scaling_probe,
    pending_exports,
    torch_classifier,
    torch_read_back,
    torchvision_networks,
)
from tf_finetune.exports import job as jobs
from tf_finetune.exports.parity import file_checks, parity_check
from tf_finetune.tasks import catalog as tasks
from tf_finetune.weights.torch import (
    families,
    layer_arrays,
    safetensors_writer,
    state_dicts,
)

# The same float32 weights in the kernels of another library.
_TOLERANCE = 1e-4
_ALTERNATIVES = ("onnx", "keras")
# Of a file's metadata: the format's loaders for PyTorch ask for it.
_METADATA = {"format": "pt"}


def write(job: jobs.ExportJob) -> pathlib.Path:
    """Writes `model.safetensors` and `config.json` for torchvision.

    The file is a state dict, with which torchvision's network computes logits
    from standardized pictures. `config.json` beside it names the network, its
    arguments, the classes, the preprocessing and the file's sha256. The check
    runs that network in a process that has PyTorch and not this package; where
    PyTorch is not installed, the file is read back into a new backbone here.

    Returns:
        Path of the written safetensors file.

    Raises:
        UsageError: torchvision has no network that computes what the run's
            does, or the destination cannot be written.
        RunError: The file predicts something else; it is removed.
    """
    if job.options is None:
        raise errors.UsageError(
            "--format=torch needs the options of the run's network."
        )
    head_name = tasks.TASKS.get(job.task).head(job.options.head)
    network = torchvision_networks.find_network(job.options, head_name)
    path = job.file("model", catalog.SUFFIXES["torch"])
    model = float32_model.ensure_float32(job.model)
    head = torch_classifier.find_head(model)
    scaling, arrays = _convert(model, head, network)
    described = _describe(job, network, head, scaling)
    with pending_exports.open_file(path) as file:
        safetensors_writer.write_file(file.temporary, arrays, _METADATA)
        file.record_figures(_check(file, job, network, described))
        content = {"file": path.name, "sha256": files.sha256(file.temporary)}
        files.write_json(
            path.with_name(export_files.TORCH_CONFIG),
            {**described, "weights": content},
        )
    return path


def _convert(
    model: keras.Model,
    head: torch_classifier.Head,
    network: torchvision_networks.Network,
) -> tuple[input_scaling_probe.PictureScaling, dict[str, np.ndarray]]:
    """Returns the scaling of pictures, and the state dict of a model."""
    backbone = keras.Model(model.inputs, head.feature_map)
    layers = [*layer_arrays.iterate_layers(backbone)]
    scaling = input_scaling_probe.measure_scaling(model, layers[0])
    arrays = state_dicts.build_state_dict(
        layers, families.find_family(network.name), epsilon=network.epsilon
    )
    if scaling.is_bgr:
        # The first kernel takes blue first; torchvision's pictures are RGB.
        first = next(iter(arrays))
        arrays[first] = np.ascontiguousarray(arrays[first][:, ::-1])
    return scaling, {
        **arrays,
        **torch_classifier.build_classifier(head, network),
    }


def _describe(
    job: jobs.ExportJob,
    network: torchvision_networks.Network,
    head: torch_classifier.Head,
    scaling: input_scaling_probe.PictureScaling,
) -> dict[str, Any]:
    """Returns the content of `config.json`, but for the file's hash."""
    outputs = len(head.bias)
    return {
        "library": "torchvision",
        "architecture": network.name,
        "arguments": {"num_classes": outputs, **network.arguments},
        "num_classes": outputs,
        "label_names": [*job.class_names],
        "task": job.task,
        "output": head.activation,
        **({"decision": dict(job.decision)} if job.decision else {}),
        "backbone": job.options.backbone,
        "pretrained_cfg": {
            "input_size": [3, job.image_size, job.image_size],
            "mean": scaling.mean,
            "std": scaling.std,
            # The package's decoder: bilinear with antialiasing.
            "interpolation": "bilinear",
            "crop_pct": 1.0,
            "crop_mode": job.resize,
        },
    }


def _check(
    file: pending_exports.PendingFile,
    job: jobs.ExportJob,
    network: torchvision_networks.Network,
    described: Mapping[str, Any],
) -> Mapping[str, Any]:
    """Compares the file's predictions with the evaluation's."""
    allowed = max(_TOLERANCE, parity_check.choose_tolerance(job))
    packages = ("torch", "torchvision")
    if all(importlib.util.find_spec(each) for each in packages):
        return file_checks.check_exact(
            "torchvision_file.py",
            file,
            job,
            allowed=allowed,
            instead=_ALTERNATIVES,
            beside={"config": np.array(json.dumps(described))},
        )
    logging.info(
        "torch and torchvision are not installed: %s is read back and compared "
        "here, not in PyTorch.",
        file.path.name,
    )
    got = torch_read_back.predict(file.temporary, job, network, described)
    return parity_check.check_predictions(
        file.path.name,
        {"read back": got},
        job,
        allowed=allowed,
        instead=_ALTERNATIVES,
    )
