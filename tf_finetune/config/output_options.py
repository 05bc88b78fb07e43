"""Options for the results of a run."""

import dataclasses
import pathlib
from typing import Literal

from tf_finetune.config import conditions, options, value_checks


@dataclasses.dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """Folders of results and caches, and gates on the result."""

    workdir: str = options.option(
        "", "Folder of the results; an unfinished run in it is continued."
    )
    cache_dir: str = options.option(
        "~/.cache/tf_finetune", "Folder of features shared between runs."
    )
    cache: Literal["auto", "on", "off"] = options.option(
        "auto",
        "Compute the layers below the first one that trains once, not in "
        "every epoch; auto measures both ways and takes the cheaper one.",
        used_by=conditions.FINE_TUNING,
    )
    cache_gb: float = options.option(
        20.0,
        "Disk space for the features of all runs, GB; the least recently "
        "used are removed first.",
    )
    overwrite: bool = options.option(
        False, "Replace the run that --workdir holds."
    )
    tensorboard: bool = options.option(
        False,
        "Also write TensorBoard events (needs the extra [tensorboard]).",
        used_by=conditions.FINE_TUNING,
    )
    plan: bool = options.option(
        False, "Print the plan of the run and its cost, then stop."
    )
    fail_below: tuple[str, ...] = options.option(
        (),
        "Exit with status 3 unless METRIC:VALUE is reached, e.g. "
        "accuracy:0.9 (on test where it exists, else on validation).",
    )
    fail_if_not_better_than: str | None = options.option(
        None,
        "Exit with status 3 unless the result beats probe, or the run in "
        "another workdir.",
    )

    def __post_init__(self) -> None:
        value_checks.require_range(self, "cache_gb", above=0)

    @property
    def cache_folder(self) -> pathlib.Path:
        """`cache_dir` as a path with "~" expanded."""
        return pathlib.Path(self.cache_dir).expanduser()
