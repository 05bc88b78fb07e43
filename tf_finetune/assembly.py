"""Backbone + head = model."""

import dataclasses

import keras

from tf_finetune.backbones import backbone as backbones
from tf_finetune.backbones import build as backbone_building
from tf_finetune.config import train
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
        extractor: Pictures → pooled features [batch, width].
        head: Pooled features → logits.
    """

    backbone: backbones.Backbone
    model: keras.Model
    trainer: keras.Model
    extractor: keras.Model
    head: keras.Model

    @property
    def head_layers(self) -> tuple[str, ...]:
        """The names of the layers above the pooled features."""
        return tuple(
            layer.name
            for layer in self.head.layers
            if not isinstance(layer, keras.layers.InputLayer)
        )


def build(
    options: train.ModelOptions, task: tasks.Task, num_classes: int, seed: int
) -> Assembly:
    """Builds the model with random weights.

    Args:
        options: Backbone, image size, head.
        task: Decides the number of logits and what becomes of them.
        num_classes: Of the data.
        seed: Of the random weights.

    Raises:
        UsageError: The backbone or head is unknown, the image too small.
    """
    keras.utils.set_random_seed(seed)
    backbone = backbone_building.build(
        options.backbone, image_size=options.image_size
    )
    images = backbone.model.inputs[0]
    features = keras.layers.GlobalAveragePooling2D(name="features")(
        backbone.model.outputs[0]
    )
    top = heads.HEADS.get(options.head)(options, task.num_outputs(num_classes))
    logits = _through(top, features)
    vectors = keras.Input([features.shape[-1]], name="features_input")
    return Assembly(
        backbone=backbone,
        model=keras.Model(images, task.predictions(logits), name="model"),
        trainer=keras.Model(images, logits, name="trainer"),
        extractor=keras.Model(images, features, name="extractor"),
        head=keras.Model(vectors, _through(top, vectors), name="head"),
    )


def _through(
    layers: list[keras.Layer], tensor: keras.KerasTensor
) -> keras.KerasTensor:
    for layer in layers:
        tensor = layer(tensor)
    return tensor
