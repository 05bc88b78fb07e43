"""The root of a SavedModel: what its functions read, where readers look."""

import pathlib
from collections.abc import Sequence

import keras
import tensorflow as tf


class Root(tf.__internal__.tracking.AutoTrackable):
    """Variables, lookup tables and files of a model, each tracked by itself.

    Keras' wrappers around variables hide them: what a session restores under a
    wrapper is a copy, which no function reads. Python finds the variable all
    the same; a session calls it uninitialized, and TensorFlow's converter
    writes NaN without a word. So the variables are kept, under the names by
    which `tf.saved_model.load(…)` shows them. Not a `tf.Module`, which does not
    save what it calls `variables`.

    Attributes:
        variables: Those of the weights. Not of `model.variables`, which holds
            the random states of dropout, too.
        trainable_variables: Those that training may move.
        non_trainable_variables: The others.
        tables: In which words are looked up.
        assets: Files that lie in `assets/`.
    """

    def __init__(
        self, model: keras.Model, assets: Sequence[pathlib.Path]
    ) -> None:
        """Tracks what a model needs.

        Args:
            model: Whose functions are saved.
            assets: Files to be copied beside them.
        """
        super().__init__()
        self.variables = [each.value for each in model.weights]
        self.trainable_variables = [
            each.value for each in model.trainable_weights
        ]
        self.non_trainable_variables = [
            each.value for each in model.non_trainable_weights
        ]
        self.tables = _tables(model)
        self.assets = [tf.saved_model.Asset(str(each)) for each in assets]


def _tables(
    model: keras.Model,
) -> list[tf.saved_model.experimental.TrackableResource]:
    """Returns the tables of a model's layers, which are no weights."""
    kind = tf.saved_model.experimental.TrackableResource
    held = [
        getattr(layer, "lookup_table", None)
        for layer in model._flatten_layers()
    ]
    return [each for each in held if isinstance(each, kind)]
