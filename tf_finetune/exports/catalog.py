"""The export formats by name.

A format is a function `write(job: job.ExportJob) -> pathlib.Path`, which
compares the written file's predictions with the evaluation's before the file
gets its final name. Packages that it needs beyond this package's own
requirements are listed in `EXTRAS`.
"""

from tf_finetune import registry

_LITERT = "tf_finetune.exports.litert_formats"
_SAVED_MODEL = "tf_finetune.exports.saved_model"

EXPORTS = registry.Registry(
    "export format",
    {
        "h5": "tf_finetune.exports.keras_files:write_weights",
        "keras": "tf_finetune.exports.keras_files:write_keras",
        "litert": f"{_LITERT}:write",
        "litert_dynamic": f"{_LITERT}:write_dynamic",
        "litert_float16": f"{_LITERT}:write_float16",
        "litert_int8": f"{_LITERT}:write_int8",
        "onnx": "tf_finetune.exports.onnx_file:write",
        "saved_model": f"{_SAVED_MODEL}.image_saved_model:write",
        "torch": "tf_finetune.exports.torch_file:write",
        "whole_h5": "tf_finetune.exports.keras_files:write_whole_h5",
    },
)

ROW_FORMATS: tuple[str, ...] = ("keras", "saved_model")
"""Formats that can hold a model of rows, of several inputs."""

SUFFIXES: dict[str, str] = {
    "h5": ".weights.h5",
    "keras": ".keras",
    "litert": ".tflite",
    "litert_dynamic": ".tflite",
    "litert_float16": ".tflite",
    "litert_int8": ".tflite",
    "onnx": ".onnx",
    "torch": ".safetensors",
    "whole_h5": ".h5",
}
"""File suffix of each single-file format; other formats write folders."""

ROUNDED_FORMATS: tuple[str, ...] = (
    "litert_float16",
    "litert_dynamic",
    "litert_int8",
)
"""Formats with rounded weights, for which `--tolerance` may allow a loss."""

# TensorFlow itself converts; ai_edge_litert brings the schema of the files and
# the interpreter that the check runs.
_LITERT_EXTRA = ("litert", ("ai_edge_litert",))

EXTRAS: dict[str, tuple[str, tuple[str, ...]]] = {
    "litert": _LITERT_EXTRA,
    "litert_dynamic": _LITERT_EXTRA,
    "litert_float16": _LITERT_EXTRA,
    "litert_int8": _LITERT_EXTRA,
    "onnx": ("onnx", ("tf2onnx", "onnx", "onnxruntime")),
}
"""By format: the extra in setup.cfg, and the modules that it installs."""
