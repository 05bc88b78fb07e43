"""Root object of a SavedModel: it tracks variables, tables and assets."""

import pathlib
from collections.abc import Sequence

import keras
import tensorflow as tf


class TrackableModel(tf.__internal__.tracking.AutoTrackable):
    """Variables, lookup tables and files of a model, each tracked directly.

    Keras wraps variables: a session restores a copy under the wrapper, which no
    function reads. Python finds the variable all the same; a session reports
    it as uninitialized, and TensorFlow's converter silently writes NaN. So the
    variables themselves are tracked, under the names by which
    `tf.saved_model.load(…)` returns them. Not a `tf.Module`, which does not
    save its property `variables`.

    Attributes:
        variables: Those of the weights. Not of `model.variables`, which
            includes the random states of dropout.
        trainable_variables: Those that training may change.
        non_trainable_variables: The others.
        tables: Lookup tables of words.
        assets: Files in `assets/`.
    """

    def __init__(
        self, model: keras.Model, assets: Sequence[pathlib.Path]
    ) -> None:
        """Tracks a model's variables, tables and assets.

        Args:
            model: The model whose functions are saved.
            assets: Files to be copied into `assets/`.
        """
        super().__init__()
        # `value` is the tf.Variable inside of Keras' wrapper.
        self.variables = [each.value for each in model.weights]
        self.trainable_variables = [
            each.value for each in model.trainable_weights
        ]
        self.non_trainable_variables = [
            each.value for each in model.non_trainable_weights
        ]
        self.tables = _find_tables(model)
        self.assets = [tf.saved_model.Asset(str(each)) for each in assets]


def _find_tables(
    model: keras.Model,
) -> list[tf.saved_model.experimental.TrackableResource]:
    """Returns the lookup tables of a model's layers, which are not weights."""
    kind = tf.saved_model.experimental.TrackableResource
    held = [
        getattr(layer, "lookup_table", None)
        for layer in model._flatten_layers()
    ]
    return [each for each in held if isinstance(each, kind)]
