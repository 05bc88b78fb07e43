"""Measurements of a recipe, noted in a folder as they are made.

A command that is repeated after an interruption reads them, so that no trial
is measured twice.
"""

import dataclasses
import hashlib
import math
import pathlib
import shutil
from typing import Any

from tf_finetune import errors, files
from tf_finetune.config import options, train_config
from tf_finetune.recipe_search import candidates, facts
from tf_finetune.workdir import json_schema

_NAME = "trials.json"
_BYTES = 1 << 20
_NUMBER = json_schema.Number(0, 1e12)
_SCHEMA = json_schema.Record(
    needed={
        "key": json_schema.Text(longest=100),
        "spent_seconds": _NUMBER,
        "trials": json_schema.Table(
            json_schema.Record(
                needed={
                    "log_loss": json_schema.Optional(_NUMBER),
                    "accuracy": _NUMBER,
                    "start_log_loss": json_schema.Optional(_NUMBER),
                    "interpolate": json_schema.Number(0, 1),
                    "uninterpolated": json_schema.Optional(_NUMBER),
                    "block_losses": json_schema.Items(
                        _NUMBER, at_most=candidates.MOST_BLOCKS
                    ),
                    "seconds": _NUMBER,
                    "cache": json_schema.OneOf(("on", "off")),
                }
            )
        ),
    },
    possible={
        "probe": json_schema.Record(
            needed={
                "log_loss": json_schema.Optional(_NUMBER),
                "accuracy": json_schema.Optional(_NUMBER),
                "knn": _NUMBER,
                "majority": _NUMBER,
            }
        ),
        "costs": json_schema.Record(
            needed={
                "load": _NUMBER,
                "forward": _NUMBER,
                "frozen_share": _NUMBER,
                "missing_views": _NUMBER,
            }
        ),
        "probe_seconds": _NUMBER,
    },
)
# Options that change neither what is measured nor its figures.
_INDIFFERENT = ("workdir", "overwrite", "plan", "cache_dir", "cache_gb")


# NaN of a diverged trial, which JSON does not have.
_LOSSES = ("log_loss", "start_log_loss", "uninterpolated")


class TrialNotes:
    """Measurements of one recipe, in a JSON file of a folder.

    Measurements of other data or other settings are discarded, and so are the
    checkpoints of their trials.

    Args:
        folder: The folder of the notes.
        key: Key of data and settings, from `make_key`.

    Attributes:
        folder: Folder for the workdirs of trials of this key, within that of
            the notes; need not exist.
    """

    def __init__(self, folder: pathlib.Path, key: str) -> None:
        """Reads the notes of an earlier process, if there are any."""
        self.folder = folder / key
        self._path = folder / _NAME
        for other in folder.glob("*/"):
            if other != self.folder:
                shutil.rmtree(other, ignore_errors=True)
        self._content = _read(self._path, folder)
        if self._content.get("key") != key:
            self._content = {"key": key, "spent_seconds": 0.0, "trials": {}}

    @property
    def spent_seconds(self) -> float:
        """Seconds spent on trials by this process and earlier ones."""
        return self._content["spent_seconds"]

    @property
    def has_trials(self) -> bool:
        """Whether a trial is noted."""
        return bool(self._content["trials"])

    @property
    def probe(self) -> facts.ProbeFacts | None:
        """Figures of the pretrained features; None if they are not noted."""
        found = self._content.get("probe")
        return facts.ProbeFacts(**found) if found else None

    @property
    def costs(self) -> candidates.Costs | None:
        """Seconds per picture of the network; None if they are not noted."""
        found = self._content.get("costs")
        return candidates.Costs(**found) if found else None

    @property
    def probe_seconds(self) -> float:
        """Seconds that features and probe took; 0 if that is not noted."""
        return self._content.get("probe_seconds", 0.0)

    def find_trial(
        self, candidate: candidates.Candidate
    ) -> candidates.Trial | None:
        """Returns the noted trial of a candidate; None if there is none."""
        found = self._content["trials"].get(candidate.text)
        if found is None:
            return None
        losses = {
            name: float("nan") if found[name] is None else found[name]
            for name in _LOSSES
        }
        blocks = tuple(found["block_losses"])
        figures = {**found, **losses, "block_losses": blocks}
        return candidates.Trial(candidate=candidate, **figures)

    def note_probe(
        self,
        probe: facts.ProbeFacts | None,
        costs: candidates.Costs,
        probe_seconds: float,
    ) -> None:
        """Notes figures of the features and costs, and writes the file.

        Args:
            probe: Figures of the pretrained features; None: there are none.
            costs: Measured seconds per picture.
            probe_seconds: Seconds that features and probe took.
        """
        self._content |= {
            "costs": dataclasses.asdict(costs),
            "probe_seconds": probe_seconds,
        }
        if probe:
            self._content["probe"] = dataclasses.asdict(probe)
        self._write()

    def note_trial(self, trial: candidates.Trial, spent_seconds: float) -> None:
        """Notes a finished trial and writes the file.

        Args:
            trial: Its figures.
            spent_seconds: Seconds since the last note, added to those spent.
        """
        found = dataclasses.asdict(trial)
        del found["candidate"]
        for name in _LOSSES:
            if math.isnan(found[name]):
                found[name] = None
        self._content["trials"][trial.candidate.text] = found
        self._content["spent_seconds"] += spent_seconds
        self._write()

    def _write(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        files.write_json(self._path, self._content)


def make_key(
    config: train_config.TrainConfig,
    fingerprint: str,
    largest_batch: int | None,
) -> str:
    """Returns the key of the measurements of a config on data.

    Args:
        config: Options of the run; those that change no figure are left out.
        fingerprint: Hash of the data's contents, labels and splits.
        largest_batch: Batch size that was found; None: not searched.
    """
    values = options.collect_values(config)
    untied = {
        *_INDIFFERENT,
        *vars(config.interruptions),
        # A longer budget goes on where a shorter one has ended.
        *vars(config.recipe),
    }
    text = "\n".join(
        f"{name}={options.to_text(value)}"
        for name, value in sorted(values.items())
        if name not in untied
    )
    whole = f"{fingerprint}\n{largest_batch}\n{text}"
    return hashlib.sha256(whole.encode()).hexdigest()[:32]


def _read(path: pathlib.Path, folder: pathlib.Path) -> dict[str, Any]:
    try:
        return json_schema.read_json(path, _SCHEMA, within=folder, limit=_BYTES)
    except (FileNotFoundError, NotADirectoryError, errors.RunError):
        # Damaged notes are measured anew.
        return {}
