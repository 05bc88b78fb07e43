"""The weights alone in HDF5, `model.weights.h5`.

Not the whole model: Keras 3 reloads the whole-model `.h5` of EfficientNet
with other outputs and that of ConvNeXt not at all, while weights are exact.
"""

import pathlib

import numpy as np

from tf_finetune.exporting import catalog
from tf_finetune.exporting import job as jobs
from tf_finetune.exporting.graph import precision
from tf_finetune.exporting.proof import parity, single_file


def write(job: jobs.ExportJob) -> pathlib.Path:
    """Writes the weights in float32 and proves them; returns the file.

    They are proven in a process that has Keras and not this package: it is
    told the network as JSON, builds it and loads the weights into it.

    Raises:
        RunError: The file computes something else; nothing is left of it.
        UsageError: The destination cannot be written.
    """
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
