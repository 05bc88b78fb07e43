"""The weights alone in HDF5, `model.weights.h5`.

Not the whole model: Keras 3 reloads the whole-model `.h5` of EfficientNet
with other outputs and that of ConvNeXt not at all; weights reload exactly.
"""

import pathlib

import numpy as np

from tf_finetune.exporting import catalog
from tf_finetune.exporting import job as jobs
from tf_finetune.exporting.graph import precision
from tf_finetune.exporting.proof import parity, single_file


def write(job: jobs.ExportJob) -> pathlib.Path:
    """Writes the weights in float32 and checks them; returns the file.

    They are checked in a process that has Keras and not this package: it gets
    the network as JSON, builds it and loads the weights into it.

    Raises:
        RunError: The file computes something else; nothing is left of it.
        UsageError: The destination cannot be written.
    """
    # A file of weights says nothing about the network, so the check needs its
    # JSON beside them; users build the network themselves.
    model = precision.in_float32(job.model)
    return single_file.write(
        job.file("model", catalog.SUFFIXES["h5"]),
        model.save_weights,
        single_file.prove_exact(
            "h5.py",
            job,
            allowed=parity.tolerance(job),
            beside={"network": np.array(model.to_json())},
        ),
    )
