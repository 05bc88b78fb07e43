"""Adaptation method: which weights fine-tuning trains, and how they act."""

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

import keras

from tf_finetune.config import model_options
from tf_finetune.model import assembly


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adapted:
    """Network that a method has prepared for fine-tuning.

    The head is trained with every method and is not part of it.

    Attributes:
        trained: Variables that fine-tuning trains, by the backbone layer that
            they change and in the order of the graph: the layer's own, or
            variables that the method adds. The freeze boundary lies below the
            first of these layers; if there is none, the backbone is frozen.
        batch_norms: Layers among them that learn the statistics of batches.
        description: Line of the plan about what only this method has.
        build_trainer: Builds the model that `fit` trains from a network of
            the assembly's layers: all of it, the part above the freeze
            boundary, or one with further outputs. Inputs and outputs are those
            of the network; the trainable variables are those of `trained` and
            the head's. Called before `compile`, in the scope of the strategy.
        merge: Writes the result of training into the network's own layers,
            after which added variables change nothing, as before training.
            Saved and exported models have plain Keras layers for this reason.
    """

    trained: Mapping[str, Sequence[keras.Variable]]
    batch_norms: Sequence[str] = ()
    description: str
    build_trainer: Callable[[keras.Model], keras.Model]
    merge: Callable[[], None]


class Method(Protocol):
    """Adaptation method, as `catalog.METHODS` names them."""

    def __call__(
        self, built: assembly.Assembly, options: model_options.ModelOptions
    ) -> Adapted:
        """Prepares a network for fine-tuning; its output stays the same.

        Args:
            built: The pretrained backbone under its head. Variables that the
                method adds are made here, in the scope of the strategy.
            options: Those of the method are among them.

        Raises:
            UsageError: The options leave the method nothing to train.
        """


def set_trainable(built: assembly.Assembly, names: Collection[str]) -> None:
    """Sets `trainable` of every layer; takes effect at the next compile.

    A batch-norm layer with `trainable = False` runs in inference mode and its
    statistics stand still; calling it with `training=False` alone would not
    hold them (Keras before 3.16 overwrites that argument in `fit`).

    Args:
        built: The network.
        names: The backbone layers whose own weights train; the head's always
            do.
    """
    moving = {*names, *built.head_layers}
    for layer in built.trainer.layers:
        layer.trainable = layer.name in moving
