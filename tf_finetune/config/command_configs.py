"""Options of evaluate, predict, export and cache."""

import dataclasses
from typing import Any

from tf_finetune import errors
from tf_finetune.config import (
    conditions,
    data_options,
    option_types,
    options,
    train_config,
)

TABLE = "*.csv"
"""In place of a value of `--data`: a table that names pictures."""

_WORKDIR_HINT = "the folder that training printed as its results."
_ALLOW_PARTS = (
    "Parts of your own, package.module:attribute, that the run's run.flags may "
    "name; others are refused, since a workdir may come from somebody else."
)
_CACHE_DIR = "Folder of decode results and pictures."
_PATH_COLUMNS = "The columns of paths; empty: as the run was trained."


def _reuse_with_data(name: str, **changes: Any) -> Any:
    """Declares an option of training that is read if `--data` is given."""
    known = options.find_field(data_options.DataOptions, name)
    readers = {"data": conditions.GIVEN, **known.metadata["used_by"]}
    return options.reuse(
        data_options.DataOptions, name, used_by=readers, **changes
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """All options of `python -m tf_finetune.evaluate`.

    The help text of each field documents it. An impossible value raises
    `UsageError`.
    """

    workdir: str = options.option("", "The finished run to evaluate.")
    data: str = options.option(
        "",
        "Other pictures, in any form that training takes; empty: the run's "
        "own splits again.",
    )
    data_format: str = _reuse_with_data("data_format")
    class_level: int | None = _reuse_with_data("class_level")
    image_column: tuple[str, ...] = _reuse_with_data(
        "image_column", default=(), help=_PATH_COLUMNS
    )
    label_column: tuple[str, ...] = _reuse_with_data(
        "label_column",
        default=(),
        help="The columns of labels; empty: as the run was trained.",
    )
    image_root: str | None = _reuse_with_data("image_root")
    label_separator: str = _reuse_with_data(
        "label_separator",
        help="CSV: separator between the labels of a cell; auto: the one that "
        "yields labels of the run.",
    )
    tfds_data_dir: str | None = _reuse_with_data("tfds_data_dir")
    output: str | None = options.option(
        None,
        "The JSON file of figures; none: evaluation.DATA.json in the workdir.",
    )
    batch_size: int = options.option(32, "Pictures per step.")
    cache_dir: str = options.reuse(
        train_config.OutputOptions, "cache_dir", help=_CACHE_DIR
    )
    fail_below: tuple[str, ...] = options.option(
        (), "Exit with status 3 unless METRIC:VALUE is reached."
    )
    allow_parts: tuple[str, ...] = options.option((), _ALLOW_PARTS)

    def __post_init__(self) -> None:
        option_types.require_value(self, "workdir", _WORKDIR_HINT)
        option_types.require_range(self, "batch_size", at_least=1)
        option_types.require_range(self, "class_level", at_least=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictConfig:
    """All options of `python -m tf_finetune.predict`.

    The help text of each field documents it. An impossible value raises
    `UsageError`.
    """

    workdir: str = options.option("", "The finished run to predict with.")
    data: str = options.option(
        "",
        "A picture, a folder (searched through), a quoted glob pattern, or a "
        "CSV file that names pictures.",
    )
    image_column: tuple[str, ...] = options.option(
        (), _PATH_COLUMNS, used_by={"data": (TABLE,)}
    )
    image_root: str | None = options.reuse(
        data_options.DataOptions, "image_root", used_by={"data": (TABLE,)}
    )
    output: str | None = options.option(
        None,
        "The CSV file; none: predictions are printed. Segmentation: a folder "
        "for masks, overlays and predictions.csv.",
    )
    window_overlap: float | None = options.option(
        None,
        "See pictures at their own resolution, in windows of "
        "the model's size that have this share of a side in common; none: "
        "each picture whole, made as small or large as the model's input.",
        used_by={"task": ("segmentation",), "output": conditions.GIVEN},
    )
    top_k: int = options.option(
        5,
        "Classes listed for each picture.",
        used_by={"task": ("classification", "segmentation")},
    )
    batch_size: int = options.option(32, "Pictures per step.")
    max_pixels: int = options.reuse(
        data_options.DataOptions,
        "max_pixels",
        help="Refuse pictures of more pixels than this.",
    )
    allow_parts: tuple[str, ...] = options.option((), _ALLOW_PARTS)

    def __post_init__(self) -> None:
        option_types.require_value(self, "workdir", _WORKDIR_HINT)
        option_types.require_value(
            self, "data", "a picture, a folder, a glob pattern or a CSV file."
        )
        option_types.require_range(self, "top_k", at_least=1)
        option_types.require_range(self, "window_overlap", at_least=0, below=1)
        option_types.require_range(self, "batch_size", at_least=1)
        option_types.require_range(self, "max_pixels", at_least=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """All options of `python -m tf_finetune.export`.

    The help text of each field documents it. An impossible value raises
    `UsageError`.
    """

    workdir: str = options.option("", "The finished run to export.")
    format: tuple[str, ...] = options.option(
        ("saved_model",),
        "saved_model (TensorFlow Serving), keras, h5 (weights alone), "
        "whole_h5, litert, litert_float16, litert_dynamic, litert_int8, onnx, "
        "torch (safetensors for torchvision's networks); several with commas.",
    )
    output: str | None = options.option(
        None,
        "The folder of exports, or for a format of one file that file; none: "
        "export/ in the workdir.",
    )
    cache_dir: str = options.reuse(
        train_config.OutputOptions,
        "cache_dir",
        help=_CACHE_DIR,
        used_by={"calibrate": conditions.GIVEN},
    )
    examples: int = options.option(
        16, "Held-out pictures on which the export is checked."
    )
    tolerance: tuple[str, ...] = options.option(
        (),
        "What litert_float16, litert_dynamic and litert_int8 may lose on the "
        "held-out pictures' labels, as accuracy:0.02 for two points "
        "(multilabel: macro_average_precision, micro_f1; regression: r2; "
        "segmentation: mean_iou) or 0.02 for all figures of the task; it alone "
        "decides then. Empty: the limits of docs/exports.md.",
    )
    image_root: str | None = options.option(
        None,
        "The folder where the run's pictures are now, where they were moved; "
        "each is known by its content. None: where they were.",
    )
    calibrate: bool = options.option(
        False,
        "Divide the logits by a temperature found on the validation pictures, "
        "so that probabilities are calibrated (Guo et al. 2017); the most "
        "probable class stays (masks of the pictures' own size may change in "
        "a few pixels), multi-label thresholds move along, and the run itself "
        "is not changed. Not for regression.",
    )
    out_of_distribution: bool = options.option(
        False,
        "Also give `ood_score`, the free energy of the logits "
        "(Liu et al. 2020; multilabel: Wang et al. 2021): the higher, the "
        "further is a picture from the training pictures. Not for regression.",
        used_by={"format": ("saved_model",)},
    )
    allow_parts: tuple[str, ...] = options.option((), _ALLOW_PARTS)

    def __post_init__(self) -> None:
        option_types.require_value(self, "workdir", _WORKDIR_HINT)
        option_types.require_range(self, "examples", at_least=1)
        if not self.format:
            raise errors.UsageError("--format names no format to export.")
        if self.calibrate and "h5" in self.format:
            raise errors.UsageError(
                "--calibrate cannot be had with --format=h5: a file of weights "
                "alone holds no temperature. Leave one of them out."
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class CacheConfig:
    """All options of `python -m tf_finetune.cache`.

    The help text of each field documents it.
    """

    cache_dir: str = options.reuse(
        train_config.OutputOptions,
        "cache_dir",
        help="Folder shared between runs.",
    )
    clear: tuple[str, ...] = options.option(
        (),
        "What to remove: all, features, or entries by their name; what a "
        "running process uses stays. Empty: list.",
    )
