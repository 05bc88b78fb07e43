"""Joins a backbone and a head into one model."""

import dataclasses
from collections.abc import Sequence

import keras

from tf_finetune.backbones import backbone as backbones
from tf_finetune.backbones.surgery import surgery_steps
from tf_finetune.config import model_options
from tf_finetune.feature_cache import batches
from tf_finetune.heads import catalog as heads
from tf_finetune.tasks import task as task_contract
from tf_finetune.weights import loading


@dataclasses.dataclass(frozen=True, kw_only=True)
class Assembly:
    """One set of weights as four Keras models that share their layers.

    Training one of them trains all.

    Attributes:
        backbone: The feature extractor and what it declares of itself.
        model: RGB 0..255 [batch, size, size, 3] → the task's predictions;
            the model that is saved.
        trainer: The same up to the logits, which losses are computed on.
        extractor: Pictures → the head's inputs: pooled features
            [batch, width], or feature maps.
        head: Its inputs → logits.
        loaded: Where the backbone's weights came from; None for random ones.
        changes: What surgery did to the backbone.
    """

    backbone: backbones.Backbone
    model: keras.Model
    trainer: keras.Model
    extractor: keras.Model
    head: keras.Model
    loaded: loading.LoadedWeights | None
    changes: tuple[surgery_steps.Change, ...]

    @property
    def features(self) -> batches.RowLayout:
        """Layout of the head's inputs in a row of the feature cache."""
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
    """Builds the model: a backbone, with surgery, under a random head.

    Args:
        options: Backbone, image size, surgery, head.
        task: Decides the number of logits and what becomes of them.
        names: Of the outputs.
        seed: Of the random weights.
        weights: Of the backbone, as `--weights` takes them.

    Raises:
        UsageError: The backbone or head is unknown, the image too small, the
            weights are those of another network, the surgery is impossible.
        RunError: The weights cannot be had, read or matched.
    """
    # Before anything is built: the head's weights are drawn from this seed.
    keras.utils.set_random_seed(seed)
    made = loading.build_pretrained(options, weights)
    backbone = made.backbone
    build_head = heads.HEADS.get(task.head(options.head))
    top = build_head(backbone, options, task.network.num_outputs(names))
    images = top.backbone.model.inputs[0]
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
    )


def replace_output_activation(
    built: Assembly, task: task_contract.Task
) -> Assembly:
    """Returns the same layers with the output activation of another task."""
    trainer = built.trainer
    predictions = task.network.predictions(trainer.outputs[0])
    # A tensor, not a list of one: an exported model would ask its callers
    # for a list, too.
    model = keras.Model(trainer.inputs[0], predictions, name="model")
    return dataclasses.replace(built, model=model)
