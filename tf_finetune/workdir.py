"""The folder of one run: the names of its files."""

import dataclasses
import pathlib
from typing import Any

from tf_finetune import errors, files
from tf_finetune.config import options, train


@dataclasses.dataclass(frozen=True)
class Workdir:
    """The files of a run, by name.

    Attributes:
        path: The folder; need not exist yet.
        events: The folder of TensorBoard events; None: the usual one.
    """

    path: pathlib.Path
    events: pathlib.Path | None = None

    @property
    def run_flags(self) -> pathlib.Path:
        """The flagfile that replays the run."""
        return self.path / "run.flags"

    @property
    def run_json(self) -> pathlib.Path:
        """Status, versions, seed, data fingerprint, hardware, checksums."""
        return self.path / "run.json"

    @property
    def labels(self) -> pathlib.Path:
        """The class names, one a line, in the order of the outputs."""
        return self.path / "labels.txt"

    @property
    def data_json(self) -> pathlib.Path:
        """Statistics, splits by content hash, what cleaning dropped."""
        return self.path / "data.json"

    @property
    def plan(self) -> pathlib.Path:
        """The table of what moves in training."""
        return self.path / "plan.txt"

    @property
    def checkpoints(self) -> pathlib.Path:
        """The folder of what an interrupted run continues from."""
        return self.path / "checkpoints"

    @property
    def history(self) -> pathlib.Path:
        """Loss and metrics of every epoch of every stage."""
        return self.path / "history.csv"

    @property
    def curves(self) -> pathlib.Path:
        """The picture of `history`."""
        return self.path / "history.png"

    @property
    def tensorboard(self) -> pathlib.Path:
        """The folder of TensorBoard events."""
        return self.events or self.path / "tensorboard"

    def apart(self, name: str) -> "Workdir":
        """Returns where what follows the supervised run keeps its files.

        They go with the checkpoints when the run ends, but for its events.

        Args:
            name: Of what is learnt; its events lie in a folder of that name.
        """
        return Workdir(self.pool.parent, events=self.tensorboard / name)

    @property
    def pool(self) -> pathlib.Path:
        """Which pictures without labels an unfinished run learns from."""
        return self.checkpoints / "unlabelled" / "pool.json"

    @property
    def model(self) -> pathlib.Path:
        """The whole model, as Keras saves it."""
        return self.path / "model.keras"

    @property
    def fused(self) -> pathlib.Path:
        """The model of whole rows, where a row is more than a picture."""
        return self.path / "fused.keras"

    @property
    def takes_rows(self) -> bool:
        """Whether the finished run takes whole rows of a table."""
        return self.fused.exists()

    @property
    def fused_json(self) -> pathlib.Path:
        """What goes into `fused`, and rows that prove its exports."""
        return self.path / "fused.json"

    @property
    def weights(self) -> pathlib.Path:
        """The model's weights alone."""
        return self.path / "model.weights.h5"

    @property
    def evaluation(self) -> pathlib.Path:
        """Every figure of every split, with its yardsticks."""
        return self.path / "evaluation.json"

    @property
    def predictions(self) -> pathlib.Path:
        """What the model says of every validation and test picture."""
        return self.path / "predictions.csv"

    @property
    def proof(self) -> pathlib.Path:
        """What the model says of some held-out pictures, for exports."""
        return self.path / "proof.json"

    @property
    def proven(self) -> pathlib.Path:
        """What the model says of the pictures in `proof`."""
        return self.path / "proof.npz"

    @property
    def export(self) -> pathlib.Path:
        """The folder of exported models."""
        return self.path / "export"

    def facts(self) -> dict[str, Any]:
        """Returns the content of `run_json`; empty where there is none."""
        try:
            return files.read_json(self.run_json)
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except ValueError as error:
            raise errors.RunError(
                f"{self.run_json} is no JSON ({error}); it was changed or "
                "damaged. Use --overwrite to start this workdir anew."
            ) from error

    @property
    def finished(self) -> bool:
        """Whether the run in it came to its end."""
        return self.facts().get("status") == "finished"

    def require_finished(self) -> None:
        """Raises `UsageError` unless a finished run lies here."""
        if not self.run_json.exists():
            raise errors.UsageError(
                f"No run in --workdir={self.path}: it holds no run.json. "
                "Give the folder that training printed as its results."
            )
        if not self.finished:
            raise errors.UsageError(
                f"The run in --workdir={self.path} is not finished; continue "
                "it with the command that started it."
            )

    def class_names(self) -> tuple[str, ...]:
        """Returns the classes in the order of the model's outputs."""
        return tuple(files.read_json(self.data_json)["class_names"])


def config_of(workdir: Workdir) -> train.TrainConfig:
    """Returns the config of the run in `workdir`."""
    return options.from_flagfile(train.TrainConfig, str(workdir.run_flags))
