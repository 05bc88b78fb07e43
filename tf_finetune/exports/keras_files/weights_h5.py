"""The weights alone in HDF5, `model.weights.h5`.

Not the whole model: Keras 3 reloads the whole-model `.h5` of EfficientNet
with other outputs and that of ConvNeXt not at all; weights reload exactly.
"""

import pathlib

import numpy as np

from tf_finetune.exports import catalog
from tf_finetune.exports import job as jobs
from tf_finetune.exports.graph import float32_model
from tf_finetune.exports.parity import parity_check, single_file


def write(job: jobs.ExportJob) -> pathlib.Path:
    """Writes the weights in float32 and checks them; returns the file.

    They are checked in a process that has Keras and not this package: it gets
    the network as JSON, builds it and loads the weights into it.

    Raises:
        RunError: The file computes something else; nothing is left of it.
        UsageError: The destination cannot be written.
    """
    path = job.file("model", catalog.SUFFIXES["h5"])
    model = float32_model.ensure_float32(job.model)
    with single_file.open_file(path) as file:
        model.save_weights(file.temporary)
        figures = single_file.check_exact(
            "h5.py",
            file,
            job,
            allowed=parity_check.choose_tolerance(job),
            # A file of weights says nothing about the network, so the check
            # needs its JSON beside them; users build the network themselves.
            beside={"network": np.array(model.to_json())},
        )
        file.publish(figures)
    return path
