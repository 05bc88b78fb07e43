"""The export formats by name.

A format is a function `write(job: job.ExportJob) -> pathlib.Path`, which
proves what it wrote before anything bears its final name.
"""

from tf_finetune import registry

EXPORTS = registry.Registry(
    "export format",
    {
        "h5": "tf_finetune.exporting.h5:write",
        "keras": "tf_finetune.exporting.keras_file:write",
        "saved_model": "tf_finetune.exporting.saved_model:write",
    },
)
