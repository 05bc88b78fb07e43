"""Synchronization of workers, and errors when one of them is lost."""

import contextlib
from collections.abc import Iterator, Sequence

import tensorflow as tf

from tf_finetune import errors
from tf_finetune.training.distributed import replicas

# Errors of TensorFlow's collectives when a peer has ended.
_LOST_WORKER_ERRORS = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the chief, the one that writes."""
    return replicas.find_worker(strategy)[0] == 0


def wait_for_all(strategy: tf.distribute.Strategy) -> None:
    """Blocks until all workers have called it."""
    # A sum over all replicas ends only when each has contributed.
    if replicas.find_worker(strategy)[1] > 1:
        ones = strategy.run(lambda: tf.ones([]))
        strategy.reduce(tf.distribute.ReduceOp.SUM, ones, axis=None)


def is_true_anywhere(strategy: tf.distribute.Strategy, *, here: bool) -> bool:
    """Whether `here` is true at one worker at least.

    Blocks until all workers have called it.
    """
    if replicas.find_worker(strategy)[1] == 1:
        return here
    own = tf.constant(float(here))
    found = strategy.reduce(
        tf.distribute.ReduceOp.SUM, strategy.run(lambda: own), axis=None
    )
    return bool(found > 0)


def require_same(
    strategy: tf.distribute.Strategy, numbers: Sequence[int]
) -> None:
    """Raises `RunError` unless all workers pass the same numbers.

    They come from the checkpoint that each has read: where a shared folder
    shows its files late, workers may find different ones.
    """
    if replicas.find_worker(strategy)[1] == 1:
        return
    own = tf.constant(list(numbers), tf.float32)
    found = strategy.reduce(
        tf.distribute.ReduceOp.SUM, strategy.run(lambda: own), axis=None
    )
    mean = found / strategy.num_replicas_in_sync
    if not bool(tf.reduce_all(tf.abs(mean - own) < 1e-3)):
        raise errors.RunError(
            "The workers found different checkpoints in the workdir: this one "
            f"would resume from {list(numbers)} (epoch, step, recoveries), "
            f"their mean is {mean.numpy().tolist()}. Is it a folder that all "
            "of them share? Start the same command again."
        )


@contextlib.contextmanager
def run_chief_first(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Runs a block on the chief before the other workers.

    The others then find and read the files that the chief has written.
    """
    if not is_chief(strategy):
        wait_for_all(strategy)
    yield
    if is_chief(strategy):
        wait_for_all(strategy)


@contextlib.contextmanager
def report_lost_worker(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Turns errors of a lost worker into a `RunError`.

    Raises:
        RunError: Another worker has ended or cannot be reached.
    """
    try:
        yield
    except _LOST_WORKER_ERRORS as error:
        if replicas.find_worker(strategy)[1] == 1:
            raise
        raise errors.RunError(
            "Another worker of this run has ended or cannot be reached "
            f"({type(error).__name__}), so this one stops too; the other's "
            "output says why. Started again on all workers, the same command "
            "resumes from the last checkpoint."
        ) from error
