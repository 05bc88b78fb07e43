"""Division of batches among replicas, with weights and seeds for each.

`model.fit` under a strategy then trains on the batches of a single
process: no replica gets an empty piece, each piece weighs as its share of the
batch, and each replica draws random numbers of its own.
"""

import contextlib
import types
from collections.abc import Iterator

import keras
import tensorflow as tf

from tf_finetune.data import epoch_order
from tf_finetune.model import fast_batch_norm

# Far apart, so that the seeds of replicas do not meet (Weyl's sequence, by
# the golden ratio).
_SEED_STRIDE = 0x9E3779B1


def find_own_part(strategy: tf.distribute.Strategy) -> epoch_order.Shard:
    """Returns the range of replica numbers that belong to this process."""
    total = strategy.num_replicas_in_sync
    index, workers = find_worker(strategy)
    each = total // workers
    return epoch_order.Shard(first=index * each, count=each, total=total)


def find_worker(strategy: tf.distribute.Strategy) -> tuple[int, int]:
    """Returns the index of this worker, from 0, and the number of workers.

    Index 0 is the chief: the task of that name in the cluster, else the first
    worker. It is (0, 1) for a strategy of one process.
    """
    # TensorFlow numbers a chief, if there is one, apart from the workers.
    resolver = strategy.cluster_resolver
    if (
        not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
        or resolver is None
    ):
        return 0, 1
    cluster = resolver.cluster_spec().as_dict()
    chiefs, workers = len(cluster.get("chief", ())), cluster.get("worker", ())
    if not chiefs + len(workers):
        return 0, 1
    offset = chiefs if resolver.task_type == "worker" else 0
    return offset + (resolver.task_id or 0), chiefs + len(workers)


def distribute_batches(
    batches: tf.data.Dataset | None, strategy: tf.distribute.Strategy
) -> tf.data.Dataset | tf.distribute.DistributedDataset | None:
    """Divides batches into one piece per replica, for `train_step.Trainer`.

    Args:
        batches: Dataset of (inputs, targets) of whole batches; or of (inputs,
            targets, size), the share of this process in batches of `size`
            examples; None stays None.
        strategy: Strategy of the trainer.

    Returns:
        `batches` itself with one replica; else a distributed dataset of
        (inputs, targets, (share, counted)), as in `train_step.ReplicaBatch`,
        that repeats endlessly.
    """
    if batches is None or strategy.num_replicas_in_sync == 1:
        return batches

    def pieces(context: tf.distribute.InputContext) -> tf.data.Dataset:
        total = context.num_replicas_in_sync
        count = total // context.num_input_pipelines
        part = epoch_order.Shard(
            first=context.input_pipeline_id * count, count=count, total=total
        )
        # Endless, so that workers need not agree at each step whether the end
        # has come; `count_steps` gives the length of a pass.
        return _split_batches(batches, part).repeat().prefetch(2 * count)

    return strategy.distribute_datasets_from_function(pieces)


def count_steps(
    batches: tf.data.Dataset | None, strategy: tf.distribute.Strategy
) -> int | None:
    """Counts the batches of one pass over a dataset that repeats endlessly.

    Args:
        batches: Argument of `distribute_batches`.
        strategy: Strategy of the trainer.

    Returns:
        The number; None with one replica, where the dataset ends by itself.
    """
    if batches is None or strategy.num_replicas_in_sync == 1:
        return None
    count = int(batches.cardinality())
    # Negative: TensorFlow does not know the number of batches.
    return count if count >= 0 else sum(1 for _ in batches)


def _split_batches(
    batches: tf.data.Dataset, part: epoch_order.Shard
) -> tf.data.Dataset:
    """Returns the pieces of this process' replicas, in turn."""
    divided = len(batches.element_spec) == 3

    def cut(*batch: tf.Tensor) -> tuple:
        inputs, targets = batch[:2]
        if divided:
            # Only this process' examples are here: `start` is their offset.
            size = tf.cast(batch[2], tf.int64)
            start, _ = part.compute_bounds(size)
        else:
            size = tf.shape(targets, tf.int64)[0]
            start = tf.zeros([], tf.int64)
        return tuple(
            _cut_piece(inputs, targets, size, start, number, part.total)
            for number in range(part.first, part.first + part.count)
        )

    def in_turn(*pieces: tuple) -> tf.data.Dataset:
        found = tf.data.Dataset.from_tensors(pieces[0])
        for piece in pieces[1:]:
            found = found.concatenate(tf.data.Dataset.from_tensors(piece))
        return found

    cut_up = batches.map(cut, tf.data.AUTOTUNE, deterministic=True)
    return cut_up.flat_map(in_turn)


def _cut_piece(
    inputs: tf.Tensor | tuple[tf.Tensor, ...],
    targets: tf.Tensor,
    size: tf.Tensor,
    start: tf.Tensor,
    number: int,
    total: int,
) -> tuple:
    """Returns one replica's piece of a batch.

    Args:
        inputs: [examples, …] each.
        targets: [examples, …].
        size: Examples in the whole batch.
        start: The place in it of the first one that is here.
        number: Of the replica.
        total: Number of replicas.

    Returns:
        Inputs, targets, and a pair: the share of the batch that the piece's
        mean loss stands for, and how many of its examples count in metrics.
        A batch of fewer examples than replicas goes whole to every replica,
        and the first replica counts it.
    """
    low, high = epoch_order.Shard(first=number, total=total).compute_bounds(
        size
    )
    is_small = size < total
    counted = tf.where(is_small, size * int(number == 0), high - low)
    share = tf.where(
        is_small,
        tf.constant(1.0 / total, tf.float64),
        tf.cast(high - low, tf.float64) / tf.cast(size, tf.float64),
    )

    def take_piece(tensor: tf.Tensor) -> tf.Tensor:
        return tensor[low - start : high - start]

    return (
        keras.tree.map_structure(take_piece, inputs),
        take_piece(targets),
        (tf.cast(share, tf.float32), counted),
    )


@contextlib.contextmanager
def separate_seeds(model: keras.Model) -> Iterator[None]:
    """Draws different random numbers on each replica, within its block.

    Keras keeps one state of a random generator on all replicas, and dropout
    then drops the same units on each. Here an offset by the replica's number is
    added to every seed that is drawn. It acts on functions that are traced
    inside the block.

    Args:
        model: Model whose layers, at any depth, draw random numbers.
    """
    generators = []
    if model.distribute_strategy.num_replicas_in_sync > 1:
        generators = [*_find_seed_generators(model)]
    try:
        for generator in generators:
            # On the instance, which shadows the method of the class.
            generator.next = types.MethodType(_draw_replica_seed, generator)
        yield
    finally:
        for generator in generators:
            del generator.next


def _find_seed_generators(
    model: keras.Model,
) -> Iterator[keras.random.SeedGenerator]:
    seen = set()
    for layer in model._flatten_layers(include_self=False):
        for found in vars(layer).values():
            is_one = isinstance(found, keras.random.SeedGenerator)
            if is_one and id(found) not in seen:
                seen.add(id(found))
                yield found


def _draw_replica_seed(
    generator: keras.random.SeedGenerator, ordered: bool = True
) -> tf.Tensor:
    """Replaces `SeedGenerator.next`: adds the replica's offset to the seed."""
    seed = type(generator).next(generator, ordered=ordered)
    context = tf.distribute.get_replica_context()
    if context is None:
        return seed
    number = tf.cast(context.replica_id_in_sync_group, tf.int64)
    # seed[0] is the generator's seed and seed[1] counts its draws; in int64, as
    # the product exceeds 32 bits.
    moved = tf.cast(seed[0], tf.int64) + number * _SEED_STRIDE
    return tf.stack([tf.cast(moved % 2**32, seed.dtype), seed[1]])


@contextlib.contextmanager
def synchronize_batch_norms(
    model: keras.Model, *, wanted: bool
) -> Iterator[None]:
    """Computes batch statistics over all replicas, within its block.

    It acts on functions that are traced inside the block.

    Args:
        model: Model whose batch norms, at any depth, are changed.
        wanted: False changes nothing: each replica normalizes by its own piece.
    """
    changed = [
        each
        for each in fast_batch_norm.list_batch_norms(model)
        if not each.synchronized
    ]
    changed = changed if wanted else []
    try:
        for layer in changed:
            layer.synchronized = True
        yield
    finally:
        for layer in changed:
            layer.synchronized = False
