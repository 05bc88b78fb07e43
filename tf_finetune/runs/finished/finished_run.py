"""A finished run, read back from its workdir."""

import dataclasses
import functools
import pathlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from tf_finetune import errors, registry
from tf_finetune.config import picture_options, train_config
from tf_finetune.data import pipeline, progress
from tf_finetune.model import inference
from tf_finetune.runs.finished import model_file
from tf_finetune.tasks import catalog
from tf_finetune.tasks import task as task_contract
from tf_finetune.workdir import json_schema, recorded_config, workdir_files

if TYPE_CHECKING:
    from tf_finetune.inputs import input_protocol, input_rows

_MODEL_KIND = json_schema.Record(
    {
        "model": json_schema.Record(
            {"image_size": json_schema.Number(1, 65_536, True)}
        )
    }
)
_MISMATCH = (
    "The files of the folder do not belong together: copy it again, or train "
    "again."
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FinishedRun:
    """Finished run that was read back from its workdir.

    Attributes:
        place: The workdir.
        config: The config of its training.
        model: Keras model from RGB 0..255 [batch, size, size, 3] to
            predictions; for a run on rows of a table, from a dict of inputs by
            name.
        class_names: Names of the model's outputs, in their order.
        image_size: Side of the model's input, pixels.
    """

    place: workdir_files.Workdir
    config: train_config.TrainConfig
    model: keras.Model
    class_names: tuple[str, ...]
    image_size: int

    @property
    def square(self) -> picture_options.Square:
        """The square that pictures are decoded into, the model's input."""
        return self.config.model.make_square(self.image_size)

    @functools.cached_property
    def inputs(self) -> "tuple[input_protocol.Input, ...]":
        """Inputs of a run on rows of a table; empty for single pictures."""
        if not self.place.takes_rows:
            return ()
        from tf_finetune.inputs import input_protocol

        return input_protocol.list_inputs(self.config.data)

    @functools.cached_property
    def task(self) -> task_contract.Task:
        """Task of the run, with its thresholds and label statistics."""
        task = catalog.TASKS.get(self.config.model.task)
        return task.with_evaluation(self.place.figures(task.evaluation_schema))

    def predict(
        self,
        examples: "Sequence[str] | Sequence[input_rows.Row]",
        *,
        batch_size: int,
        model: keras.Model | None = None,
    ) -> Iterator[np.ndarray]:
        """Yields predictions of examples in their order, in batches.

        Args:
            examples: Paths of picture files; for a run on rows of a table,
                rows.
            batch_size: Examples per step.
            model: Model with the same inputs that predicts instead of the run's
                own; None: the run's own.

        Yields:
            [batch, …] outputs of the model after its output activation.
        """
        # TensorFlow would make room for a whole batch at once.
        batch_size = min(batch_size, max(len(examples), 1))
        if self.inputs:
            from tf_finetune.inputs import fused_model

            batches = fused_model.stream_batches(
                self.inputs, examples, self.square, batch_size=batch_size
            )
        else:
            batches = pipeline.build_evaluation_images(
                examples, self.square, batch_size=batch_size
            )
        shown = progress.track(
            batches,
            total=-(-len(examples) // batch_size),
            title="Predicting",
            unit="batches",
            is_brief=True,
        )
        return inference.stream_predictions(
            inference.compile_step(model or self.model), shown
        )


def load_finished(path: str, allow_parts: Sequence[str] = ()) -> FinishedRun:
    """Reads a finished run from its workdir; runs no code from it.

    Args:
        path: The workdir, of any origin; "~" is expanded.
        allow_parts: Components of the user's own that the run may name,
            "package.module:attribute"; each is imported.

    Returns:
        The run, with its model in memory.

    Raises:
        UsageError: No finished run lies there, or it names components that are
            not allowed.
        RunError: Its files cannot be read, or do not belong together.
    """
    place = workdir_files.Workdir(pathlib.Path(path).expanduser())
    place.require_finished()
    config = recorded_config.load_config(place, allowed=allow_parts)
    # `facts` itself leaves the model out, which a run that began may lack.
    json_schema.check_value(place.facts(), _MODEL_KIND, place.run_json)
    image_size = place.facts()["model"]["image_size"]
    for part in allow_parts:
        # Layers of the user's own become known to Keras by being imported.
        registry.import_part("--allow_parts", part)
    source = place.fusion_model if place.takes_rows else place.model
    found = FinishedRun(
        place=place,
        config=config,
        model=model_file.load_model(source, within=place.path),
        class_names=place.class_names(),
        image_size=image_size,
    )
    if found.inputs:
        _check_inputs(found)
    else:
        _check_shapes(place, found.model, image_size, len(found.class_names))
    return found


def _check_inputs(found: FinishedRun) -> None:
    """Raises `RunError` unless a model takes the inputs of the run's config."""
    wanted = {
        each.name: each.build(found.image_size).shape for each in found.inputs
    }
    taken = {each.name: each.shape for each in found.model.inputs}
    given = [each.shape[1:] for each in found.model.outputs]
    if taken != wanted or given != [(len(found.class_names),)]:
        raise errors.RunError(
            f"{found.place.fusion_model} does not take rows of the columns in "
            f"{found.place.run_flags.name}. {_MISMATCH}"
        )


def _check_shapes(
    place: workdir_files.Workdir,
    model: keras.Model,
    image_size: int,
    classes: int,
) -> None:
    """Raises `RunError` unless a model is one of pictures of these classes."""
    # None in the model's shape stands for any side.
    taken, given = model.input_shape, model.output_shape
    square = (image_size, image_size)
    if not (
        isinstance(taken, tuple)
        and len(taken) == 4
        and all(b in (a, None) for a, b in zip(square, taken[1:3], strict=True))
    ):
        raise errors.RunError(
            f"{place.model} does not take pictures of {image_size} × "
            f"{image_size} pixels, the image_size in {place.run_json.name}, "
            f"but {_format_shape(taken)}. {_MISMATCH}"
        )
    if not (isinstance(given, tuple) and given[-1] == classes):
        raise errors.RunError(
            f"{place.model} gives {_format_shape(given)}, and "
            f"{place.data_json.name} names {classes} "
            f"{'class' if classes == 1 else 'classes'}. {_MISMATCH}"
        )


def _format_shape(shape: Any) -> str:
    """Returns a shape in words, without the batch."""
    if not (isinstance(shape, tuple) and all(map(_is_size, shape))):
        return "several tensors"
    sizes = " × ".join(
        "any" if each is None else f"{each}" for each in shape[1:]
    )
    return f"arrays of {sizes or 'one number'}"


def _is_size(each: Any) -> bool:
    return each is None or isinstance(each, int)
