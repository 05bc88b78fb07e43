"""The earlier run that a result must beat (`--fail_if_not_better_than`)."""

import math
import pathlib
from collections.abc import Mapping
from typing import Any

from tf_finetune import errors, terminal_escapes
from tf_finetune.evaluation import gates
from tf_finetune.workdir import json_schema, workdir_files

# Runs are compared on the first of these splits that the data has.
SPLITS = ("test", "validation")
# The figures of ten thousand classes stay below this.
_LARGEST_MEGABYTES = 256


def read_figures(
    rival: str, task: str, measures: gates.Measures
) -> dict[str, Any]:
    """Reads the metrics of the finished run in another workdir.

    Args:
        rival: Workdir given to `--fail_if_not_better_than`; "~" is expanded.
        task: Name of the task of the run that is compared with it.
        measures: Metrics of that task.

    Returns:
        Contents of its evaluation.json; the metrics of each of `SPLITS` that
        occurs are complete.

    Raises:
        UsageError: There is no such run, its task is another one, or its
            metrics cannot be read.
    """
    place = workdir_files.Workdir(pathlib.Path(rival).expanduser())
    flag = f"--fail_if_not_better_than={rival}"
    facts, found = _read_files(place, flag)
    if facts.get("status") != "finished":
        raise errors.UsageError(
            f"{flag} is neither 'probe' nor the workdir of a finished run."
        )
    theirs = facts.get("model", {}).get("task")
    if theirs != task:
        told = f"a run of --task={terminal_escapes.escape(str(theirs))}"
        if theirs is None:
            told = "a run.json that does not name the task of the run"
        raise errors.UsageError(
            f"{flag} holds {told}; it cannot be compared "
            f"with a run of --task={task}."
        )
    if not _is_complete(found, measures):
        raise errors.UsageError(
            f"{flag} cannot be used: {place.evaluation} lacks figures of "
            f"--task={task} that a result could be compared with. Train that "
            "run again, or name another one."
        )
    return found


def check_data(
    theirs: Mapping[str, Any], rival: str, fingerprint: str, split: str
) -> None:
    """Checks that another run was evaluated on the data of this one.

    Args:
        theirs: The other run's evaluation.json, from `read_figures`.
        rival: Its workdir, for the message.
        fingerprint: Hash of the pictures, labels and splits of this run.
        split: Split on which the runs will be compared.

    Raises:
        UsageError: The data differs, or the other run lacks the split.
    """
    if theirs["data_fingerprint"] != fingerprint or split not in theirs:
        raise errors.UsageError(
            f"--fail_if_not_better_than={rival} was evaluated on other "
            "pictures, labels or splits than this run has; their figures "
            "cannot be compared. Compare runs on the same --data, splits and "
            "--seed."
        )


def _read_files(place: workdir_files.Workdir, flag: str) -> tuple[Any, Any]:
    """Reads run.json and evaluation.json; None for a missing one."""
    kind = json_schema.Record(
        {"data_fingerprint": json_schema.Text(longest=1000)}
    )
    try:
        facts = place.facts()
        if facts.get("status") != "finished":
            return facts, None
        # The figures are checked afterwards: the run is compared with itself.
        return facts, place.content(
            place.evaluation, kind, megabytes=_LARGEST_MEGABYTES
        )
    except (FileNotFoundError, NotADirectoryError):
        return facts, None
    except errors.RunError as error:
        raise errors.UsageError(
            f"{flag} cannot be used for a comparison: {error} Or name another "
            "run."
        ) from error


def _is_complete(found: Any, measures: gates.Measures) -> bool:
    """Returns whether a gate can use the figures of every split."""
    if not isinstance(found, Mapping):
        return False
    if not isinstance(found.get("data_fingerprint"), str):
        return False
    splits = [found[split] for split in SPLITS if split in found]
    return bool(splits) and all(
        _is_comparable(each, measures) for each in splits
    )


def _is_comparable(figures: Any, measures: gates.Measures) -> bool:
    if not isinstance(figures, Mapping):
        return False
    try:
        # All that a gate does with figures; whatever a foreign evaluation.json
        # lacks raises here, before training instead of after it.
        merit = measures.merit(figures)
        measures.format_brief(figures)
        measures.describe_difference(figures, figures)
        gates.explain_not_better(figures, figures, "itself", measures)
    except (LookupError, TypeError, ValueError, AttributeError):
        return False
    numbers = all(
        isinstance(value, (int, float)) and not math.isnan(value)
        for value in merit
    )
    # A missing figure counts as -inf in a merit.
    return numbers and math.inf not in merit
