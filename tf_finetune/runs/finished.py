"""What can be asked of a finished run: figures, predictions, exports."""

import dataclasses
import pathlib

import keras

from tf_finetune import errors, workdir
from tf_finetune.config import train


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
