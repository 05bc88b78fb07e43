"""Reads a model.keras of unknown origin without running its code."""

import concurrent.futures
import io
import math
import pathlib
from typing import Any

import h5py
import keras
import numpy as np

from tf_finetune import errors
from tf_finetune.untrusted import archives, keras_files, model_configs

# Seeds and counters that older files leave out.
_SPARE_NUMBERS = 1 << 20
# A picture of 1024 pixels has 67 million in the first layers of VGG.
_LARGEST_TENSOR = 1 << 31


def load_model(path: pathlib.Path, *, within: pathlib.Path) -> keras.Model:
    """Loads a .keras file safely: runs no code from it, reads no other file.

    Args:
        path: The file.
        within: Folder that the file must lie in, links resolved.

    Returns:
        The model, not compiled.

    Raises:
        RunError: The file cannot be read, would not be safe to read, or its
            weights are NaN or infinite.
    """
    config = model_configs.read_checked_config(path, within=within)
    with model_configs.explain_errors(path):
        # In a thread of its own, whose names and variables end with it.
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            pool.submit(
                _check_sizes, config, _count_stored_numbers(path)
            ).result()
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    _check_finite(path, model)
    return model


def _check_sizes(config: dict[str, Any], held: int) -> None:
    """Raises `RunError` for more weights than a file holds; allocates none.

    Args:
        config: What the model is built from.
        held: How many numbers the file holds.

    Raises:
        RunError: It asks for more, or a tensor between its layers is larger
            than any network's.
    """
    plain = {k: v for k, v in config.items() if k != "compile_config"}
    # Variables that are made in it stay without values.
    with keras.StatelessScope(initialize_variables=False):
        model = keras.saving.deserialize_keras_object(plain, safe_mode=True)
        if not isinstance(model, keras.Model):
            raise errors.RunError("Its config.json describes no model.")
    asked = sum(math.prod(weight.shape) for weight in model.weights)
    if asked > held + _SPARE_NUMBERS:
        raise errors.RunError(
            f"Its config.json asks for {asked:,} weights, and the file holds "
            f"{held:,} of them; nothing was allocated."
        )
    for layer in model._flatten_layers():
        _check_tensors(layer)


def _check_tensors(layer: keras.Layer) -> None:
    for node in layer._inbound_nodes:
        for tensor in node.output_tensors:
            size = math.prod(each or 1 for each in tensor.shape)
            if size > _LARGEST_TENSOR:
                raise errors.RunError(
                    f"The layer {layer.name} of its config.json gives "
                    f"{size:,} numbers for each picture, and "
                    f"{_LARGEST_TENSOR:,} is the limit."
                )


def _count_stored_numbers(path: pathlib.Path) -> int:
    """Returns the size of all arrays of a file that was checked."""
    # From the headers of its HDF5 file; no array is read.
    sizes = []

    def note(name: str, node: h5py.Group | h5py.Dataset) -> None:
        if isinstance(node, h5py.Dataset):
            sizes.append(math.prod(node.shape or ()))

    with archives.open_archive(path) as archive:
        content = archive.read(keras_files.WEIGHTS_MEMBER)
    with h5py.File(io.BytesIO(content), "r") as file:
        file.visititems(note)
    return sum(sizes)


def _check_finite(path: pathlib.Path, model: keras.Model) -> None:
    for weight in model.weights:
        values = np.asarray(weight)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise errors.RunError(
                f"{path} holds weights that are NaN or infinite, first in "
                f"{weight.path}, so that it can predict nothing: its training "
                "diverged, or the file was damaged. Copy the folder again, or "
                "train again with a lower --learning_rate."
            )
