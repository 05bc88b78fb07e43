"""A finished run in Python: its model, metrics and methods.

Nothing here imports TensorFlow before a run is opened.
"""

import dataclasses
import html
import os
import pathlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tf_finetune import console_output, environment, finished_workflow
from tf_finetune.tasks import task as task_contract
from tf_finetune.workdir import workdir_files as workdirs

if TYPE_CHECKING:
    import keras

_SPLITS = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Run:
    """A finished run: its model, metrics and history.

    Attributes:
        model: Keras model, float RGB 0..255 [batch, size, size, 3] → the
            task's predictions (probabilities, or values in the user's units),
            with the weights that were better on validation; of a run on rows
            of a table, the model of all their inputs.
        evaluation: Metrics by split ("train", "validation", "test"), the
            content of `evaluation.json`.
        history: One dictionary per epoch: "stage", "epoch" (from 1), losses
            and metrics.
        class_names: Class names in the order of the model's outputs.
        workdir: The folder of all files of the run.
        task: The task; it also formats the metrics.
    """

    model: "keras.Model"
    evaluation: dict[str, Any]
    history: list[dict[str, Any]]
    class_names: tuple[str, ...]
    workdir: pathlib.Path
    task: task_contract.Task

    def predict(self, data: str | os.PathLike, **keywords: Any) -> list[Any]:
        """Predicts other pictures, as `tf_finetune.predict` does.

        Args:
            data: A picture, a folder (searched through), a glob pattern, or a
                CSV file that names pictures.
            **keywords: Any flag of `python -m tf_finetune.predict`, by name.

        Returns:
            One prediction per file, in the order of the paths; a file that
            cannot be used has its `error` filled.
        """
        return finished_workflow.predict(self.workdir, data, **keywords)

    def evaluate(self, data: Any = None, **keywords: Any) -> dict[str, Any]:
        """Evaluates on other labeled pictures, as `tf_finetune.evaluate` does.

        Args:
            data: Pictures in any form that training takes; None: the splits
                that the run was trained with.
            **keywords: Any flag of `python -m tf_finetune.evaluate`, by name.

        Returns:
            Metrics by split; `self.evaluation` stays as it is.
        """
        return finished_workflow.evaluate(self.workdir, data, **keywords)

    def export(
        self, format: str | tuple[str, ...] = "saved_model", **keywords: Any
    ) -> list[pathlib.Path]:
        """Exports the run and checks each export, as `tf_finetune.export` does.

        Args:
            format: "saved_model", "keras", "litert", "onnx" …, or several.
            **keywords: Any flag of `python -m tf_finetune.export`, by name.

        Returns:
            Paths of the exports written, in the order of the formats.
        """
        return finished_workflow.export(self.workdir, format, **keywords)

    def show(self) -> None:
        """Prints the metrics of all splits, and shows the charts.

        Outside of a notebook the paths of the charts are printed instead.
        """
        console_output.show(self.task.figures.text(self.evaluation))
        # Without a notebook the charts' paths are printed.
        display = _find_notebook_display()
        for path in self.charts():
            if display:
                display.display(display.Image(filename=str(path)))
            else:
                console_output.show(str(path))

    def charts(self) -> list[pathlib.Path]:
        """Returns the paths of the charts (PNG) that lie in the workdir."""
        drawn = [self.workdir / "history.png"]
        for split in _SPLITS:
            drawn += sorted(self.workdir.glob(f"*_{split}.png"))
        return [path for path in drawn if path.is_file()]

    def __repr__(self) -> str:
        """Returns the workdir and the last split's main metrics in a line."""
        if not self._splits():  # Its classifier is that of a weights file.
            return f"Run({str(self.workdir)!r})"
        # The last split is test, or validation where there is no test.
        split = self._splits()[-1]
        brief = self.task.figures.format_brief(self.evaluation[split])
        return f"Run({str(self.workdir)!r}, {split}: {brief})"

    def _repr_html_(self) -> str:
        """Returns a small table: a row for each split."""
        rows = "".join(
            f"<tr><td>{split}</td><td>"
            f"{html.escape(self.task.figures.format_brief(self.evaluation[split]))}"
            "</td></tr>"
            for split in self._splits()
        )
        # Five names fit into a line of a notebook.
        names = ", ".join(self.class_names[:5])
        more = f" … ({len(self.class_names)} in all)"
        if len(self.class_names) <= 5:
            more = ""
        return (
            f"<b>Run in {html.escape(str(self.workdir))}</b>"
            f"<br>{self.task.name}: {html.escape(names)}{more}"
            f"<table>{rows}</table>"
            "<code>.show()</code>, <code>.predict(data)</code>, "
            "<code>.evaluate(data)</code>, <code>.export(format)</code>, "
            "<code>.model</code>, <code>.evaluation</code>"
        )

    def _splits(self) -> list[str]:
        return [each for each in _SPLITS if each in self.evaluation]


def load_run(
    workdir: str | os.PathLike, *, allow_parts: Sequence[str] = ()
) -> Run:
    """Loads a finished run and its model from the workdir.

    Args:
        workdir: The run's folder.
        allow_parts: Components of your own, "package.module:attribute", that
            the run's flags may name; others are not imported.

    Raises:
        UsageError: No finished run lies there, or it names other components.
        RunError: Its model cannot be read.

    Example:
        run = load_run("runs/flowers-resnet50")
        run.predict("holiday/*.jpg")
    """
    # A `~` in the path is the user's home folder.
    place = workdirs.Workdir(pathlib.Path(workdir).expanduser())
    place.require_finished()
    # Checked first: TensorFlow takes seconds to start.
    environment.start_tensorflow()
    from tf_finetune.runs.finished import finished_run
    from tf_finetune.training import history

    found = finished_run.load_finished(str(place.path), allow_parts)
    return Run(
        model=found.model,
        evaluation=place.figures(found.task.evaluation_schema),
        history=history.read(place.history),
        class_names=found.class_names,
        workdir=place.path,
        task=found.task,
    )


def _find_notebook_display() -> Any:
    """Returns IPython's display module; None outside of a notebook."""
    # Not imported here: a notebook has loaded it already.
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if getattr(shell, "kernel", None) is None:
        return None
    from IPython import display

    return display
