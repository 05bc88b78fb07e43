"""The folder of one run: the names of its files."""

import dataclasses
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tf_finetune import errors, terminal_escapes
from tf_finetune.workdir import json_schema

_HINT = (
    "Copy the workdir again, or start it anew with the command that made it "
    "and --overwrite."
)
_NAMES = json_schema.Items(json_schema.Text(longest=10_000), at_least=1)
# Entries of run.json that are read back; others are for people.
_FACTS = json_schema.Record(
    needed={"status": json_schema.OneOf(("begun", "finished"))},
    possible={
        "data_fingerprint": json_schema.Text(longest=1000),
        "largest_batch": json_schema.Optional(
            json_schema.Number(1, 10**9, True)
        ),
        "model": json_schema.Record(
            possible={
                "task": json_schema.Text(longest=1000),
                "backbone": json_schema.Text(longest=1000),
                "image_size": json_schema.Number(1, 65_536, True),
            }
        ),
    },
)


@dataclasses.dataclass(frozen=True)
class Workdir:
    """Paths of the files in the folder of a run, and readers of its JSON.

    Attributes:
        path: The folder; need not exist yet.
        events: The folder of TensorBoard events; None: tensorboard/ in it.
    """

    path: pathlib.Path
    events: pathlib.Path | None = None

    @property
    def run_flags(self) -> pathlib.Path:
        """The flagfile that replays the run."""
        return self.path / "run.flags"

    @property
    def run_json(self) -> pathlib.Path:
        """JSON of status, versions, seed, fingerprint, hardware, checksums."""
        return self.path / "run.json"

    @property
    def labels(self) -> pathlib.Path:
        """Text file of class names, one a line, in the order of the outputs."""
        return self.path / "labels.txt"

    @property
    def data_json(self) -> pathlib.Path:
        """JSON of statistics, splits by content hash, dropped pictures."""
        return self.path / "data.json"

    @property
    def plan(self) -> pathlib.Path:
        """Text file with the table of trainable and frozen layers."""
        return self.path / "plan.txt"

    @property
    def checkpoints(self) -> pathlib.Path:
        """The folder of checkpoints that an interrupted run resumes from."""
        return self.path / "checkpoints"

    @property
    def recipe_trials(self) -> pathlib.Path:
        """JSON of the trials of an unfinished run's recipe, in their folder."""
        return self.checkpoints / "recipe" / "trials.json"

    @property
    def history(self) -> pathlib.Path:
        """CSV file of loss and metrics of every epoch of every fit stage."""
        return self.path / "history.csv"

    @property
    def curves(self) -> pathlib.Path:
        """Chart (PNG) of `history`."""
        return self.path / "history.png"

    @property
    def tensorboard(self) -> pathlib.Path:
        """The folder of TensorBoard events."""
        return self.events or self.path / "tensorboard"

    def semi_supervised_workdir(self, name: str) -> "Workdir":
        """Returns the workdir of the semi-supervised training within a run.

        Its files lie in `checkpoints` and go with them when the run ends; its
        TensorBoard events stay.

        Args:
            name: Name of the objective; its events lie in a folder so called.
        """
        return Workdir(self.pool.parent, events=self.tensorboard / name)

    def stage_workdir(self, number: int) -> "Workdir":
        """Returns the workdir of fit stage `number` (from 1) within a run.

        Its files go with `checkpoints` when the run ends; its events stay.
        """
        name = f"stage-{number}"
        return Workdir(self.checkpoints / name, events=self.tensorboard / name)

    @property
    def pool(self) -> pathlib.Path:
        """JSON of the fingerprint of an unfinished run's unlabeled pictures."""
        return self.checkpoints / "unlabeled" / "pool.json"

    @property
    def model(self) -> pathlib.Path:
        """The whole model as a .keras file."""
        return self.path / "model.keras"

    @property
    def fusion_model(self) -> pathlib.Path:
        """The .keras file of the model of all inputs of a run on table rows."""
        return self.path / "fusion.keras"

    @property
    def takes_rows(self) -> bool:
        """Whether it has a `fusion_model`: the run was on rows of a table."""
        return self.fusion_model.exists()

    @property
    def earlier_fusion(self) -> tuple[pathlib.Path, ...]:
        """Files that earlier versions wrote for table rows; no longer read."""
        return self.path / "fused.keras", self.path / "fused.json"

    @property
    def weights(self) -> pathlib.Path:
        """HDF5 file of the model's weights alone."""
        return self.path / "model.weights.h5"

    @property
    def evaluation(self) -> pathlib.Path:
        """JSON of the metrics of every split, with their baselines."""
        return self.path / "evaluation.json"

    @property
    def predictions(self) -> pathlib.Path:
        """CSV file of the predictions of every validation and test picture."""
        return self.path / "predictions.csv"

    @property
    def proof(self) -> pathlib.Path:
        """JSON that lists the held-out pictures exports are checked on."""
        return self.path / "proof.json"

    @property
    def parity_predictions(self) -> pathlib.Path:
        """Predictions and labels of the pictures in `proof`, an .npz file."""
        return self.path / "proof.npz"

    @property
    def export(self) -> pathlib.Path:
        """The folder of exported models."""
        return self.path / "export"

    def require_inside(self, folder: pathlib.Path) -> pathlib.Path:
        """Returns `folder` unchanged if it lies in the workdir, links followed.

        Raises:
            UsageError: It is a link to a folder outside.
        """
        # A workdir of somebody else may hold links to other folders.
        real = pathlib.Path(os.path.realpath(folder))
        if real.is_relative_to(os.path.realpath(self.path)):
            return folder
        shown = terminal_escapes.escape(str(folder))
        raise errors.UsageError(
            f"{shown} is a link to a folder outside of {self.path}; nothing is "
            "written there. Remove the link."
        )

    def facts(self) -> dict[str, Any]:
        """Returns the content of `run_json`, checked; {} where there is none.

        Raises:
            RunError: The file was damaged or changed.
        """
        try:
            return self.content(self.run_json, _FACTS, megabytes=16)
        except (FileNotFoundError, NotADirectoryError):
            return {}

    @property
    def is_finished(self) -> bool:
        """Whether `run_json` says that the run has finished."""
        return self.facts().get("status") == "finished"

    def require_finished(self) -> None:
        """Raises `UsageError` unless the workdir holds a finished run."""
        if not os.path.lexists(self.run_json):  # A dangling link is one.
            raise errors.UsageError(
                f"No run in --workdir={self.path}: it holds no run.json. "
                "Give the folder that training printed as its results."
            )
        if not self.is_finished:
            raise errors.UsageError(
                f"The run in --workdir={self.path} is not finished; continue "
                "it with the command that started it."
            )
        if os.path.lexists(self.earlier_fusion[0]):
            raise errors.UsageError(
                f"The run in --workdir={self.path} is on rows of a table and "
                f"was made by an earlier version: {self.earlier_fusion[0].name}"
                " is not read any more. Train again with the command that made "
                "it and --overwrite."
            )

    def content(
        self, path: pathlib.Path, kind: json_schema.Kind, *, megabytes: int
    ) -> Any:
        """Reads one of its JSON files, checks it and returns its value.

        Args:
            path: The file.
            kind: Schema of the content.
            megabytes: Largest allowed size, MiB.

        Raises:
            FileNotFoundError, NotADirectoryError: It is not there.
            RunError: It lies outside of the workdir, or does not fit.
        """
        return json_schema.read_json(
            path,
            kind,
            within=self.path,
            limit=megabytes << 20,
            hint=_HINT,
        )

    def load_description(
        self, labels: Callable[[Sequence[str]], json_schema.Kind] | None = None
    ) -> dict[str, Any]:
        """Returns the content of `data_json`; "class_names" is always there.

        Args:
            labels: Maps the class names to the schema of the keys that a task
                reads; None: only the class names are checked.

        Raises:
            RunError: The file is not there, or does not fit.
        """
        kind = json_schema.Record({"class_names": _NAMES})
        found = self._load_required(self.data_json, kind, megabytes=512)
        if labels is not None:
            kind = labels(found["class_names"])
            json_schema.check_value(found, kind, self.data_json, hint=_HINT)
        return found

    def counts(self) -> dict[str, int]:
        """Returns the number of pictures by split, from `data_json`.

        Raises:
            RunError: The file is not there, or does not fit.
        """
        counts = json_schema.Table(json_schema.Number(0, 10**12, is_whole=True))
        kind = json_schema.Record({"images": counts})
        found = self._load_required(self.data_json, kind, megabytes=512)
        return found["images"]

    def figures(
        self, kinds: Mapping[str, json_schema.Kind] | None = None
    ) -> dict[str, Any]:
        """Returns the content of `evaluation`: metrics by split.

        Args:
            kinds: Schemas of the keys that are read; these may be absent.

        Raises:
            RunError: The file is not there, or does not fit.
        """
        kind = json_schema.Record(possible=kinds or {})
        return self._load_required(self.evaluation, kind, megabytes=256)

    def _load_required(
        self, path: pathlib.Path, kind: json_schema.Kind, *, megabytes: int
    ) -> dict[str, Any]:
        try:
            return self.content(path, kind, megabytes=megabytes)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise errors.RunError(f"{path} is not there. {_HINT}") from error

    def class_names(self) -> tuple[str, ...]:
        """Returns the class names in the order of the model's outputs."""
        return tuple(self.load_description()["class_names"])
