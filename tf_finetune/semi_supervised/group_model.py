"""A model that is trained on groups of labeled and unlabeled pictures.

The one `fit` sees examples that are groups (`data.mixed_groups`): the network
is applied to every picture of a group, and the outputs of all of them are one
tensor, from which the loss takes its parts. So replicas, micro-batches,
mixed precision and interruptions work as for single pictures.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import keras


@dataclasses.dataclass(frozen=True, kw_only=True)
class GroupLayout:
    """Shapes of the targets and logits that a mixed group packs into a row.

    Attributes:
        target: Shape of one labeled picture's target.
        dtype: Of the targets.
        logits: Shape of one picture's logits.
    """

    target: tuple[int, ...]
    logits: tuple[int, ...]
    dtype: str = "float32"

    @property
    def target_size(self) -> int:
        """Numbers per target."""
        return math.prod(self.target)

    @property
    def logits_size(self) -> int:
        """Numbers in the logits of one picture."""
        return math.prod(self.logits)

    def select_labeled(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        """Returns targets and logits of the labeled pictures.

        Args:
            y_true: [n, target_size + …].
            y_pred: [n, pictures, logits_size + …].
        """
        target = y_true[:, : self.target_size]
        target = keras.ops.cast(target, self.dtype)
        # The labeled picture is the first of its group.
        logits = y_pred[:, 0, : self.logits_size]
        return (
            keras.ops.reshape(target, [-1, *self.target]),
            keras.ops.reshape(logits, [-1, *self.logits]),
        )


class GroupNetwork(keras.layers.Layer):
    """Applies a network to each picture of each group."""

    def __init__(self, network: keras.Model) -> None:
        """Wraps a network.

        Args:
            network: Pictures → one tensor or several.
        """
        # float32: outputs are joined with targets and compared by a loss.
        super().__init__(name="of_groups", dtype="float32")
        self.network = network

    @property
    def trainable(self) -> bool:
        """Always true: the layers of the network decide for themselves."""
        return True

    @trainable.setter
    def trainable(self, value: bool) -> None:
        del value

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """No metrics: those of a network compiled before are not updated."""
        return []

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Returns float32 [n, pictures, numbers], all outputs in one row."""
        count = keras.ops.shape(inputs)[1]
        # Groups join the batch axis, so that batch norms see all pictures.
        flat = keras.ops.reshape(inputs, [-1, *inputs.shape[2:]])
        found = keras.tree.flatten(self.network(flat, training=training))
        rows = [
            keras.ops.reshape(
                keras.ops.cast(each, "float32"),
                [-1, count, math.prod(each.shape[1:])],
            )
            for each in found
        ]
        return keras.ops.concatenate(rows, axis=-1)

    def compute_output_spec(
        self, inputs: Any, training: bool | None = None
    ) -> keras.KerasTensor:
        """Returns shape and dtype of the output of `call`."""
        del training
        width = sum(math.prod(e.shape[1:]) for e in self.network.outputs)
        return keras.KerasTensor([*inputs.shape[:2], width], "float32")


def build_trainer(network: keras.Model) -> keras.Model:
    """Builds a model of groups from the layers of a network.

    Args:
        network: Pictures [batch, size, size, 3] → one tensor or several.

    Returns:
        [n, pictures, size, size, 3] → [n, pictures, numbers].
    """
    inputs = keras.Input([None, *network.inputs[0].shape[1:]])
    return keras.Model(inputs, GroupNetwork(network)(inputs), name="trainer")


class LabeledMetric(keras.metrics.Metric):
    """A metric computed on the labeled picture of each group."""

    def __init__(self, metric: keras.metrics.Metric, form: GroupLayout) -> None:
        """Wraps a metric of single pictures."""
        super().__init__(name=metric.name)
        self._metric, self._form = metric, form

    def update_state(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> None:
        """Updates the metric with a batch of groups."""
        pair = self._form.select_labeled(y_true, y_pred)
        self._metric.update_state(*pair, sample_weight=sample_weight)

    def result(self) -> Any:
        """Returns the metric's value."""
        return self._metric.result()

    def reset_state(self) -> None:
        """Resets the metric."""
        self._metric.reset_state()


def average_per_group(loss: Any) -> Any:
    """Returns the mean over all axes but the first, [n]."""
    axes: Sequence[int] = range(1, len(loss.shape))
    return keras.ops.mean(loss, axis=tuple(axes)) if axes else loss
