"""What can be asked of a finished run: figures, predictions, exports."""

import dataclasses
import pathlib
from collections.abc import Iterator, Sequence

import keras
import numpy as np

from tf_finetune import errors, files, inference, workdir
from tf_finetune.config import train
from tf_finetune.data import pipeline, progress
from tf_finetune.tasks import catalog
from tf_finetune.tasks import task as tasks


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finished:
    """A run read back from its workdir.

    Attributes:
        place: The workdir.
        config: What it was asked for.
        model: RGB 0..255 [batch, size, size, 3] → predictions.
        class_names: In the order of the model's outputs.
        image_size: Side of the model's input, pixels.
    """

    place: workdir.Workdir
    config: train.TrainConfig
    model: keras.Model
    class_names: tuple[str, ...]
    image_size: int

    @property
    def task(self) -> tasks.Task:
        """What it learnt, decided and judged as the run was."""
        task = catalog.TASKS.get(self.config.model.task)
        return task.finished(files.read_json(self.place.evaluation))

    def predict(
        self,
        paths: Sequence[str],
        *,
        batch_size: int,
        model: keras.Model | None = None,
    ) -> Iterator[np.ndarray]:
        """Yields predictions of picture files in their order, in batches.

        Args:
            paths: The files.
            batch_size: Pictures per step.
            model: Predicts in place of the run's own; pictures go in.
        """
        images = pipeline.evaluation_images(
            paths,
            image_size=self.image_size,
            resize=self.config.model.resize,
            pixels=self.config.model.pixels,
            batch_size=batch_size,
        )
        shown = progress.bar(
            images,
            total=-(-len(paths) // batch_size),
            title="Predicting",
            unit="batches",
            is_brief=True,
        )
        return inference.stream(inference.step(model or self.model), shown)


def load(path: str) -> Finished:
    """Reads the finished run in the folder `path`; runs no code from it.

    Raises:
        UsageError: No finished run lies there.
        RunError: Its model cannot be read.
    """
    place = workdir.Workdir(pathlib.Path(path).expanduser())
    place.require_finished()
    try:
        model = keras.saving.load_model(
            place.model, compile=False, safe_mode=True
        )
    except Exception as error:  # Keras raises whatever a file makes it meet.
        raise errors.RunError(
            f"{place.model} cannot be read: {error}. Train it again, or copy "
            "its folder again."
        ) from error
    return Finished(
        place=place,
        config=workdir.config_of(place),
        model=model,
        class_names=place.class_names(),
        image_size=place.facts()["model"]["image_size"],
    )
