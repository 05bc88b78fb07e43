"""The weights alone in HDF5, `model.weights.h5`.

Not the whole model: Keras 3 reloads the whole-model `.h5` of EfficientNet
with other outputs and that of ConvNeXt not at all, while weights are exact.
"""

import pathlib
import re

from tf_finetune import files
from tf_finetune.exporting import job as jobs
from tf_finetune.exporting import parity, precision, staging

_SUFFIX = ".weights.h5"


def write(job: jobs.ExportJob) -> pathlib.Path:
    """Writes the weights in float32 and proves them; returns the file.

    They are proven by loading them into the same graph built afresh. Here,
    not in a fresh process: without this package there is no graph to load
    weights into.

    Raises:
        RunError: The file computes something else; nothing is left of it.
        UsageError: The destination cannot be written.
    """
    path = job.file("model", _SUFFIX)
    with staging.locked(path.parent, names=re.escape(path.name)):
        with files.replacing(path) as temporary:
            precision.in_float32(job.model).save_weights(temporary)
            loaded = precision.rebuilt(job.model)
            loaded.load_weights(temporary)
            predictors = {"loaded weights": parity.of_model(loaded, job)}
            figures = parity.check(path.name, predictors, job)
        parity.record(path, figures)
    return path
