"""PyTorch files read without PyTorch, into arrays by name.

No code of a file is run, and memory is bounded by the size of the file. The
format is told by content: zip (PyTorch 1.6 and later), legacy pickles (before)
or safetensors.

Source: torch/serialization.py, both functions that save;
github.com/huggingface/safetensors, "Format".
"""

import dataclasses
import pathlib
from collections.abc import Mapping

import numpy as np

from tf_finetune import errors, files
from tf_finetune.untrusted import keras_files
from tf_finetune.weights.torch import formats, networks, tensors, timm_names


@dataclasses.dataclass(frozen=True, kw_only=True)
class StateDict:
    """Arrays of a network in a PyTorch file.

    Attributes:
        path: The file that was read.
        sha256: Hexadecimal SHA-256 of the file.
        arrays: Read-only arrays by name, e.g. "layer1.0.conv1.weight", in the
            file's order and element types. Kernels are [out, in, height,
            width]. Names of timm are translated to torchvision's.
        prefix: Prefix that was removed from every name, e.g. "module."; "" if
            there was none.
        is_ambiguous: Whether timm has two graphs under the file's names.
    """

    path: pathlib.Path
    sha256: str
    arrays: Mapping[str, np.ndarray]
    prefix: str = ""
    is_ambiguous: bool = False


def read_state_dict(path: pathlib.Path, *, part: str = "") -> StateDict:
    """Reads the arrays of a network from a .pth, .pt, .bin or .safetensors.

    Args:
        path: The file; its format is detected by content.
        part: Key of one of several networks in it ("model_ema"); "": the only
            one.

    Returns:
        The arrays, without a prefix that all names share.

    Raises:
        UsageError: The file holds no network, not the named one, or several
            and none was named.
        RunError: The file is damaged, cannot be read, or is refused: it wants
            to run code, or would take more memory than its size.
    """
    with keras_files.explain_errors(path):
        content = formats.read_content(path)
        # For the record of the run, and for names that end in their hash.
        sha256 = files.sha256(path)
    try:
        found = networks.find_network(content.root, part)
    except errors.UsageError as error:
        raise errors.UsageError(f"--weights={path}: {error}") from error
    views, prefix = networks.strip_prefixes(found)
    # Tensors of one storage (tied weights) share its memory.
    arrays = {
        name: tensors.view_array(content.numbers[view.storage.key], view)
        for name, view in views.items()
    }
    return StateDict(
        path=path,
        sha256=sha256,
        arrays=timm_names.translate_names(arrays),
        prefix=prefix,
        is_ambiguous=timm_names.has_ambiguous_graph(arrays),
    )
