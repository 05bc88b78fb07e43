"""Workers that wait for each other, and notice when one is gone."""

import contextlib
from collections.abc import Iterator, Sequence

import tensorflow as tf

from tf_finetune import errors
from tf_finetune.training.distributed import replicas

_GONE = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one that writes."""
    return replicas.worker_of(strategy)[0] == 0


def wait(strategy: tf.distribute.Strategy) -> None:
    """Returns when all workers have come here."""
    if replicas.worker_of(strategy)[1] > 1:
        ones = strategy.run(lambda: tf.ones([]))
        strategy.reduce(tf.distribute.ReduceOp.SUM, ones, axis=None)


def anyone(strategy: tf.distribute.Strategy, *, here: bool) -> bool:
    """Whether something holds `here` at one worker at least.

    Returns when all workers have come here.
    """
    if replicas.worker_of(strategy)[1] == 1:
        return here
    own = tf.constant(float(here))
    found = strategy.reduce(
        tf.distribute.ReduceOp.SUM, strategy.run(lambda: own), axis=None
    )
    return bool(found > 0)


def require_same(
    strategy: tf.distribute.Strategy, numbers: Sequence[int]
) -> None:
    """Raises `RunError` unless all workers come here with the same numbers.

    They are those of the checkpoint that each has read: where a shared folder
    shows its files late, workers may find others.
    """
    if replicas.worker_of(strategy)[1] == 1:
        return
    own = tf.constant(list(numbers), tf.float32)
    found = strategy.reduce(
        tf.distribute.ReduceOp.SUM, strategy.run(lambda: own), axis=None
    )
    mean = found / strategy.num_replicas_in_sync
    if not bool(tf.reduce_all(tf.abs(mean - own) < 1e-3)):
        raise errors.RunError(
            "The workers found different checkpoints in the workdir: this one "
            f"would go on from {list(numbers)} (epoch, step, recoveries), "
            f"their mean is {mean.numpy().tolist()}. Is it a folder that all "
            "of them share? Start the same command again."
        )


@contextlib.contextmanager
def chief_first(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Lets the chief do a block before the other workers do it.

    What the chief computes and writes, the others find and read.
    """
    if not is_chief(strategy):
        wait(strategy)
    yield
    if is_chief(strategy):
        wait(strategy)


@contextlib.contextmanager
def watched(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Says in words that another worker has ended.

    Raises:
        RunError: It has.
    """
    try:
        yield
    except _GONE as error:
        if replicas.worker_of(strategy)[1] == 1:
            raise
        raise errors.RunError(
            "Another worker of this run has ended or cannot be reached "
            f"({type(error).__name__}), so this one stops too; the other's "
            "output says why. Started again on all workers, the same command "
            "goes on from the last checkpoint."
        ) from error
