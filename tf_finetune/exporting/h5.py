"""The weights alone in HDF5, `model.weights.h5`.

Not the whole model: Keras 3 reloads the whole-model `.h5` of EfficientNet
with other outputs and that of ConvNeXt not at all, while weights are exact.
"""

import pathlib
from collections.abc import Mapping
from typing import Any

from tf_finetune.exporting import catalog, parity, precision, single_file
from tf_finetune.exporting import job as jobs

_SUFFIX = catalog.SUFFIXES["h5"]


def write(job: jobs.ExportJob) -> pathlib.Path:
    """Writes the weights in float32 and proves them; returns the file.

    They are proven by loading them into the same graph built afresh. Here,
    not in a fresh process: without this package there is no graph to load
    weights into.

    Raises:
        RunError: The file computes something else; nothing is left of it.
        UsageError: The destination cannot be written.
    """

    def prove(path: pathlib.Path, name: str) -> Mapping[str, Any]:
        loaded = precision.rebuilt(job.model)
        loaded.load_weights(path)
        predictors = {"loaded weights": parity.of_model(loaded, job)}
        return parity.check(name, predictors, job)

    return single_file.write(
        job.file("model", _SUFFIX),
        precision.in_float32(job.model).save_weights,
        prove,
    )
