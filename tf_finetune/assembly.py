"""Backbone + head = model."""

import dataclasses
from collections.abc import Sequence

import keras

from tf_finetune.backbones import backbone as backbones
from tf_finetune.backbones import build as backbone_building
from tf_finetune.cache import layout
from tf_finetune.config import model_options
from tf_finetune.heads import catalog as heads
from tf_finetune.tasks import task as tasks


@dataclasses.dataclass(frozen=True, kw_only=True)
class Assembly:
    """One set of weights, seen as the models that the stages need.

    All four share their layers; training one trains all.

    Attributes:
        backbone: The feature extractor and what it declares of itself.
        model: RGB 0..255 [batch, size, size, 3] → the task's predictions;
            the model that is saved.
        trainer: The same up to the logits, which losses are computed on.
        extractor: Pictures → what goes into the head: pooled features
            [batch, width], or feature maps.
        head: What goes into it → logits.
    """

    backbone: backbones.Backbone
    model: keras.Model
    trainer: keras.Model
    extractor: keras.Model
    head: keras.Model

    @property
    def features(self) -> layout.Layout:
        """How what goes into the head lies in a row of the cache."""
        return layout.Layout(
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


def build(
    options: model_options.ModelOptions,
    task: tasks.Task,
    names: Sequence[str],
    seed: int,
) -> Assembly:
    """Builds the model with random weights.

    Args:
        options: Backbone, image size, head.
        task: Decides the number of logits and what becomes of them.
        names: Of the outputs.
        seed: Of the random weights.

    Raises:
        UsageError: The backbone or head is unknown, the image too small.
    """
    keras.utils.set_random_seed(seed)
    backbone = backbone_building.build(
        options.backbone, image_size=options.image_size
    )
    build_head = heads.HEADS.get(options.head)
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
    )
