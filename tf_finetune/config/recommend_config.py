"""Options of recommend."""

import dataclasses

from tf_finetune import errors
from tf_finetune.config import (
    conditions,
    data_options,
    durations,
    model_options,
    option_types,
    options,
    picture_options,
    train_config,
)

_TASK = "classification"


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecommendConfig:
    """All options of `python -m tf_finetune.recommend`.

    The help text of each field documents it. An impossible value raises
    `UsageError`.
    """

    data: data_options.DataOptions = options.group(
        data_options.DataOptions, "data"
    )
    backbones: tuple[str, ...] = options.option(
        (),
        "The candidates, with commas: NAME for the ImageNet weights in Keras' "
        "cache, NAME=FILE for a weights file, workdir or other value of "
        "--weights of training. Empty: every backbone whose ImageNet weights "
        "are in Keras' cache.",
    )
    download: bool = options.option(
        False,
        "Download the ImageNet weights of --backbones that are not in Keras' "
        "cache.",
        used_by={"backbones": conditions.GIVEN},
    )
    task: str = options.option(
        _TASK, "The kind of label; the scores are those of classification."
    )
    image_size: int | None = options.reuse(
        model_options.ModelOptions,
        "image_size",
        help="Side of the square input in pixels, of all candidates; none: "
        "each backbone's own.",
    )
    resize: picture_options.Resize = options.reuse(
        model_options.ModelOptions, "resize"
    )
    pictures_per_class: int | None = options.option(
        None,
        "Compare on at most this many training pictures per class; none: the "
        "last candidates on all.",
    )
    max_ms: float | None = options.option(
        None,
        "Leave out networks that take longer than this for one picture on "
        "this device, milliseconds.",
    )
    max_mb: float | None = options.option(
        None,
        "Leave out networks with more float32 weights than this, megabytes.",
    )
    time_budget: str | None = options.option(
        None,
        "Time for all of it, such as 20m or 2h; the last two candidates are "
        "fine-tuned as far as it allows. None: no limit, and none is "
        "fine-tuned.",
    )
    output: str | None = options.option(
        None,
        "Folder of recommend.json, pareto.png and the fine-tuned runs; none: "
        "runs/recommend-DATA.",
    )
    cache_dir: str = options.reuse(train_config.OutputOptions, "cache_dir")
    seed: int = options.option(0, "Seed of every random draw.")

    def __post_init__(self) -> None:
        if self.task != _TASK:
            raise errors.UsageError(
                f"--task={self.task} cannot be recommended for: the scores are "
                f"those of {_TASK}. Train with each backbone and compare their "
                "evaluation.json."
            )
        option_types.require_range(self, "image_size", at_least=8)
        option_types.require_range(self, "pictures_per_class", at_least=2)
        option_types.require_range(self, "max_ms", above=0)
        option_types.require_range(self, "max_mb", above=0)
        option_types.require_range(self, "seed", at_least=0, below=2**31)
        durations.parse_duration("time_budget", self.time_budget)

    @property
    def budget_seconds(self) -> float | None:
        """Seconds of `time_budget`; None without a limit."""
        return durations.parse_duration("time_budget", self.time_budget)
