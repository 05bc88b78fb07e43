"""A training step that gives the same result on any number of replicas.

Keras 3.15 clips each replica's own gradient, tests each for overflow on its
own, and gives every replica the same weight, however few examples it got. Here
the gradients are weighed by examples and summed first; all that follows sees
the gradient of the whole batch.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from tf_finetune.model import fast_batch_norm
from tf_finetune.training.distributed import replicas

_STOP_REQUESTED = "asked to stop"  # Its key among the metrics of a step.


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReplicaBatch:
    """One replica's part of a batch.

    Attributes:
        inputs: [n, …] tensor, or several, n at least 1.
        targets: [n, …].
        share: Weight of this part's mean loss in the loss of the batch, 0..1.
        counted: Number of its examples, from the first, that count in metrics.
    """

    inputs: Any
    targets: tf.Tensor
    share: tf.Tensor
    counted: tf.Tensor


class Trainer(keras.Model):
    """Functional model with a training step for replicas and micro-batches.

    Its optimizer comes from `optimizers.build_optimizer(…, sums=True)`: it gets
    gradients that are already summed over replicas.

    Attributes:
        micro_batches: Number of pieces that a replica cuts its batch into.
        is_stop_requested: Tells whether this process was asked to stop.
        is_any_stop_requested: Whether any worker was asked to stop before the
            last step; all workers know it after the same step.
    """

    micro_batches = 1
    is_stop_requested: Callable[[], bool] = staticmethod(lambda: False)
    is_any_stop_requested = False

    @classmethod
    def from_model(
        cls, model: keras.Model, *, micro_batches: int = 1
    ) -> "Trainer":
        """Creates a trainer that shares the layers of a functional model.

        Args:
            model: Functional model with one output.
            micro_batches: Number of pieces that a replica cuts its batch into,
                to hold the activations of one at a time.
        """
        inputs = model.inputs if len(model.inputs) > 1 else model.inputs[0]
        made = cls(inputs, model.outputs[0], name=model.name)
        made.micro_batches = micro_batches
        return made

    def train_step(
        self, data: tuple, asked: tf.Tensor | None = None
    ) -> dict[str, tf.Tensor]:
        """Updates the weights with one batch; returns the running metrics.

        Args:
            data: (inputs, targets); with several replicas also (share,
                counted), as in `ReplicaBatch`.
            asked: 1 where this worker was asked to stop, else 0; the sum over
                all replicas is then one of the metrics.
        """
        piece = _unpack_batch(data)
        gradients, loss, predicted = self._compute_gradients(piece)
        context = tf.distribute.get_replica_context()
        # Batch loss = sum over replicas of share · mean loss of the replica.
        sums = [loss * piece.share]
        if asked is not None:
            sums.append(tf.identity(asked))  # On the replica's own device.
        if context.num_replicas_in_sync > 1:
            # One all-reduce for all: a second one would take as long again.
            summed = context.all_reduce(
                tf.distribute.ReduceOp.SUM, [*gradients, *sums]
            )
            gradients, sums = summed[: -len(sums)], summed[-len(sums) :]
        self.optimizer.apply(gradients, self.trainable_variables)
        self._average_statistics(context, piece.share)
        figures = self._update_metrics(piece, loss, predicted)
        # All workers must see a NaN or infinite loss in the same step.
        is_finite = tf.math.is_finite(sums[0])
        figures["loss"] = tf.where(is_finite, figures["loss"], sums[0])
        return (
            figures if asked is None else {**figures, _STOP_REQUESTED: sums[1]}
        )

    def test_step(self, data: tuple) -> dict[str, tf.Tensor]:
        """Evaluates `data`, as in `train_step`; returns the running metrics."""
        piece = _unpack_batch(data)
        predicted = self(piece.inputs, training=False)
        loss = self._loss(piece.inputs, piece.targets, predicted, False)
        return self._update_metrics(piece, loss, predicted)

    def _compute_gradients(
        self, piece: ReplicaBatch
    ) -> tuple[list[tf.Tensor], tf.Tensor, tf.Tensor]:
        """Returns this replica's term of the gradient, its loss and outputs."""
        if self.micro_batches == 1:
            return self._differentiate(piece.inputs, piece.targets, piece.share)
        total, losses, outputs = None, [], []
        for low, high, weight in _split_micro_batches(
            piece.targets, self.micro_batches
        ):
            # The mean loss of an empty micro-batch would be NaN; its weight
            # is 0.
            end = tf.maximum(high, low + 1)
            gradients, loss, predicted = self._differentiate(
                _slice_rows(piece.inputs, low, end),
                piece.targets[low:end],
                piece.share * weight,
            )
            total = (
                gradients if total is None else _add_gradients(total, gradients)
            )
            losses.append(loss * weight)
            outputs.append(predicted[: high - low])
        return total, tf.add_n(losses), tf.concat(outputs, axis=0)

    def _differentiate(
        self, inputs: Any, targets: tf.Tensor, share: tf.Tensor
    ) -> tuple[list[tf.Tensor], tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            predicted = self(inputs, training=True)
            loss = self._loss(inputs, targets, predicted, True)
            # Times the loss scale, if any; `apply` divides the gradients by it.
            scaled = self.optimizer.scale_loss(loss * share)
        variables = [each.value for each in self.trainable_variables]
        gradients = tape.gradient(
            scaled, variables, unconnected_gradients="zero"
        )
        # Gradients of embeddings are IndexedSlices; dense ones add up simply.
        dense = [tf.convert_to_tensor(each) for each in gradients]
        return dense, loss, predicted

    def _loss(
        self, inputs: Any, targets: Any, predicted: Any, training: bool
    ) -> tf.Tensor:
        """Returns the mean loss of a piece plus regularization penalties."""
        loss = self._compute_loss(
            x=inputs, y=targets, y_pred=predicted, training=training
        )
        # Undoes Keras' division by the number of replicas, which assumes
        # pieces of equal size; `share` weights them here.
        replicas_in_sync = tf.distribute.get_strategy().num_replicas_in_sync
        return tf.cast(loss, tf.float32) * float(replicas_in_sync)

    def _update_metrics(
        self, piece: ReplicaBatch, loss: tf.Tensor, predicted: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        # Weighed by examples, so that the epoch's loss is a mean over examples.
        self._loss_tracker.update_state(loss, sample_weight=piece.counted)
        return self.compute_metrics(
            _slice_rows(piece.inputs, 0, piece.counted),
            piece.targets[: piece.counted],
            predicted[: piece.counted],
        )

    def _average_statistics(
        self, context: tf.distribute.ReplicaContext, share: tf.Tensor
    ) -> None:
        """Averages batch-norm moving statistics over replicas, by share."""
        moving = [
            variable
            for layer in fast_batch_norm.list_batch_norms(self)
            if layer.trainable
            for variable in (layer.moving_mean, layer.moving_variance)
        ]
        if context.num_replicas_in_sync == 1 or not moving:
            return
        averages = context.all_reduce(
            tf.distribute.ReduceOp.SUM,
            [tf.convert_to_tensor(each.value) * share for each in moving],
        )
        for variable, average in zip(moving, averages, strict=True):
            variable.assign(average)

    def _make_function(self, step_function: Callable) -> Callable:
        """Builds the function that Keras calls with an iterator per step.

        Keras' own averages the replicas' metrics, which fails with several
        workers (keras issue 20585); those of the first are taken here, and
        Keras reads the metrics of all of them when an epoch ends.
        """
        strategy = self.distribute_strategy
        if strategy.num_replicas_in_sync == 1:
            return super()._make_function(step_function)

        @tf.autograph.experimental.do_not_convert
        def step(iterator: Any, *more: tf.Tensor) -> Mapping[str, tf.Tensor]:
            found = strategy.run(step_function, args=(next(iterator), *more))
            return keras.tree.map_structure(
                lambda each: strategy.experimental_local_results(each)[0],
                found,
            )

        return tf.function(step, reduce_retracing=True)

    def make_train_function(self, force: bool = False) -> None:
        """Builds the training function; several workers share stop requests."""
        is_new = force or self.train_function is None
        super().make_train_function(force)
        if is_new and replicas.find_worker(self.distribute_strategy)[1] > 1:
            self.train_function = self._share_stop_requests(self.train_function)

    def _share_stop_requests(self, function: Callable) -> Callable:
        """Wraps a step so that all workers learn of a stop request at once."""

        def step(iterator: Any) -> Mapping[str, tf.Tensor]:
            asked = tf.constant(float(self.is_stop_requested()))
            figures = dict(function(iterator, asked))
            self.is_any_stop_requested = bool(figures.pop(_STOP_REQUESTED) > 0)
            return figures

        return step

    def _maybe_symbolic_build(
        self, iterator: Any = None, data_batch: Any = None
    ) -> None:
        """Creates the metrics' variables from one replica's first piece."""
        strategy = self.distribute_strategy
        if strategy.num_replicas_in_sync == 1 or iterator is None:
            super()._maybe_symbolic_build(iterator, data_batch)
            return
        for _, _, steps in iterator:
            data_batch = keras.tree.map_structure(
                lambda each: strategy.experimental_local_results(each)[0],
                next(steps)[:2],
            )
            break
        # In the scope, so that the metrics' variables are those of the
        # strategy.
        with strategy.scope():
            self._symbolic_build(data_batch=data_batch)


def _unpack_batch(data: tuple) -> ReplicaBatch:
    """Returns a batch as a piece; on one replica that is all of it."""
    inputs, targets, *divided = data
    if divided and divided[0] is not None:
        share, counted = divided[0]
        return ReplicaBatch(
            inputs=inputs, targets=targets, share=share, counted=counted
        )
    return ReplicaBatch(
        inputs=inputs,
        targets=targets,
        share=tf.ones([]),
        counted=tf.shape(targets, tf.int64)[0],
    )


def _split_micro_batches(
    targets: tf.Tensor, count: int
) -> list[tuple[tf.Tensor, tf.Tensor, tf.Tensor]]:
    """Returns begin, end and weight of each micro-batch."""
    size = tf.shape(targets, tf.int64)[0]
    cuts = []
    for number in range(count):
        # Sizes differ by one at most; the weights add up to 1.
        low, high = size * number // count, size * (number + 1) // count
        weight = tf.cast(high - low, tf.float32) / tf.cast(size, tf.float32)
        cuts.append((low, high, weight))
    return cuts


def _slice_rows(inputs: Any, low: Any, high: Any) -> Any:
    return keras.tree.map_structure(lambda each: each[low:high], inputs)


def _add_gradients(
    total: Sequence[tf.Tensor], more: Sequence[tf.Tensor]
) -> list[tf.Tensor]:
    return [a + b for a, b in zip(total, more, strict=True)]
