"""Joins a backbone and a head into one model."""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence

import keras
import numpy as np

from tf_finetune.backbones import backbone as backbones
from tf_finetune.backbones.surgery import surgery_steps
from tf_finetune.config import model_options
from tf_finetune.feature_cache import batches
from tf_finetune.heads import catalog as heads
from tf_finetune.tasks import task as task_contract
from tf_finetune.weights import loading


@dataclasses.dataclass(frozen=True, kw_only=True)
class Assembly:
    """Backbone and head as four Keras models that share their layers.

    Training or assigning weights of one model changes all four.

    Attributes:
        backbone: The feature extractor with its stages and feature maps.
        model: RGB 0..255 [batch, size, size, 3] → the task's predictions; the
            model that is saved.
        trainer: Pictures → logits, on which losses are computed.
        extractor: Pictures → inputs of the head: pooled features [batch,
            width], or one or several feature maps.
        head: Inputs of the head → logits.
        loaded: Origin of the backbone's weights; None for random ones.
        changes: Changes that surgery made to the backbone.
        seed: Seed of the random weights.
    """

    backbone: backbones.Backbone
    model: keras.Model
    trainer: keras.Model
    extractor: keras.Model
    head: keras.Model
    loaded: loading.LoadedWeights | None
    changes: tuple[surgery_steps.Change, ...]
    seed: int

    @property
    def features(self) -> batches.RowLayout:
        """Layout of the head's inputs as a row of the feature cache."""
        return batches.RowLayout(
            shapes=tuple(tuple(e.shape[1:]) for e in self.extractor.outputs)
        )

    @property
    def head_layers(self) -> tuple[str, ...]:
        """The names of the layers of the head."""
        return tuple(
            layer.name
            for layer in self.head.layers
            if not isinstance(layer, keras.layers.InputLayer)
        )


def build_model(
    options: model_options.ModelOptions,
    task: task_contract.Task,
    names: Sequence[str],
    seed: int,
    *,
    weights: str = "none",
) -> Assembly:
    """Builds a pretrained backbone, with surgery, under a random head.

    Args:
        options: Backbone, image size, surgery, head.
        task: Task that decides the number of logits and the output activation.
        names: Names of the model's outputs.
        seed: Seed of the random weights; sets Python's, NumPy's and
            TensorFlow's global seeds.
        weights: Weights of the backbone, a value of `--weights`; "none":
            random.

    Returns:
        A new assembly.

    Raises:
        UsageError: The backbone or head is unknown, the image too small, the
            weights are those of another network, or the surgery is impossible.
        RunError: The weights cannot be downloaded, read or matched.
    """
    # Before anything is built: the head's weights are drawn from this seed.
    keras.utils.set_random_seed(seed)
    made = loading.build_pretrained(options, weights)
    return _join_head(made, options, task, names, seed)


def replace_head(
    built: Assembly,
    options: model_options.ModelOptions,
    task: task_contract.Task,
    names: Sequence[str],
) -> Assembly:
    """Builds another head on the backbone of an assembly, whose layers it has.

    Args:
        built: The assembly; it is left unchanged.
        options: The head; the backbone is not built from them.
        task: As in `build_model`.
        names: As in `build_model`.

    Returns:
        A new assembly with a random head. Its backbone has the variables of
        `built`, unless the head is one that builds the backbone again.
    """
    made = loading.PretrainedBackbone(
        backbone=built.backbone, loaded=built.loaded, changes=built.changes
    )
    return _join_head(made, options, task, names, built.seed)


def _join_head(
    made: loading.PretrainedBackbone,
    options: model_options.ModelOptions,
    task: task_contract.Task,
    names: Sequence[str],
    seed: int,
) -> Assembly:
    """Joins a backbone and a new head into an assembly."""
    build_head = heads.HEADS.get(task.head(options.head))
    top = build_head(made.backbone, options, task.network.num_outputs(names))
    images = top.backbone.model.inputs[0]
    # A list of one would make callers of the models pass a list.
    inputs = list(top.inputs) if len(top.inputs) > 1 else top.inputs[0]
    predictions = task.network.predictions(top.logits)
    return Assembly(
        backbone=top.backbone,
        model=keras.Model(images, predictions, name="model"),
        trainer=keras.Model(images, top.logits, name="trainer"),
        extractor=keras.Model(images, inputs, name="extractor"),
        head=keras.Model(inputs, top.logits, name="head"),
        loaded=made.loaded,
        changes=made.changes,
        seed=seed,
    )


def replace_output_activation(
    built: Assembly, task: task_contract.Task
) -> Assembly:
    """Returns an assembly whose `model` has a task's output activation.

    Args:
        built: The assembly; it is left unchanged.
        task: Task that converts logits to predictions.

    Returns:
        A new assembly with the same layers; only `model` differs.
    """
    trainer = built.trainer
    predictions = task.network.predictions(trainer.outputs[0])
    # A tensor, not a list of one: an exported model would ask its callers
    # for a list, too.
    model = keras.Model(trainer.inputs[0], predictions, name="model")
    return dataclasses.replace(built, model=model)


def copy_values(variables: Sequence[keras.Variable]) -> list[np.ndarray]:
    """Copies the values of variables to new arrays, in their order."""
    # Not `asarray`, which may be a view of memory that is assigned to later.
    return [np.array(variable) for variable in variables]


def assign_values(
    variables: Sequence[keras.Variable], values: Sequence[np.ndarray]
) -> None:
    """Assigns arrays to variables, in place.

    Args:
        variables: Variables of a model or a layer, as `weights` lists them.
        values: One array per variable, in the same order.

    Raises:
        ValueError: Their numbers or shapes differ.
    """
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


@contextlib.contextmanager
def keep_values(variables: Sequence[keras.Variable]) -> Iterator[None]:
    """Restores the present values of variables when its block ends.

    Values are restored after an error in the block, too.
    """
    before = copy_values(variables)
    try:
        yield
    finally:
        assign_values(variables, before)
