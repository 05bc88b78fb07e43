"""Strategies of `tf.distribute` by name, and steps that workers take together.

One process of several is the chief: it fills the cache and writes the results.
"""

import contextlib
import functools
import json
import os
from collections.abc import Iterator, Mapping, Sequence

import tensorflow as tf
from absl import logging

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


def build_strategy(name: str, *, tpu: str = "") -> tf.distribute.Strategy:
    """Builds the `tf.distribute` strategy that `--strategy` names.

    Args:
        name: "auto" takes all GPUs of this machine when it has several, else
            the one device; "one_device"; "mirrored" (all GPUs, or all logical
            CPU devices); "multi_worker" (the cluster comes from TF_CONFIG, else
            from Slurm); "tpu".
        tpu: Name or address of the TPU; empty: the machine's own.

    Raises:
        RunError: The devices that the strategy needs are missing.
    """
    if name == "auto":
        # Only for "auto": this call starts TensorFlow's runtime, and workers
        # must be joined before that.
        gpus = tf.config.list_logical_devices("GPU")
        name = "mirrored" if len(gpus) > 1 else "one_device"
    if name == "one_device":
        return tf.distribute.get_strategy()
    try:
        chosen = _build_tpu(tpu) if name == "tpu" else _BUILDERS[name]()
    except (ValueError, RuntimeError, tf.errors.OpError) as error:
        if "program startup" in str(error):
            raise errors.RunError(
                "Workers cannot be joined after TensorFlow has unpacked the "
                "pictures in the same process. Unpack them once with "
                "--plan --strategy=one_device and the same --cache_dir, then "
                "start the workers."
            ) from error
        raise errors.RunError(
            f"--strategy={name} cannot start here: {error} Use "
            "--strategy=auto for what this machine has."
        ) from error
    logging.info(
        "strategy: %s on %d replica(s)", name, chosen.num_replicas_in_sync
    )
    return chosen


def is_in_slurm(environment: Mapping[str, str]) -> bool:
    """Tells whether the cluster comes from Slurm: a job step without TF_CONFIG.

    Args:
        environment: Environment variables.
    """
    has_cluster = bool(
        json.loads(environment.get("TF_CONFIG") or "{}").get("cluster")
    )
    return not has_cluster and "SLURM_STEP_NUM_TASKS" in environment


# One a process: those of a second strategy would take the numbers of the first
# one's collectives, which are bound to the shapes of its tensors.
@functools.cache
def _build_mirrored() -> tf.distribute.Strategy:
    # TensorFlow alone would take one of several logical CPU devices.
    if tf.config.list_logical_devices("GPU"):
        return tf.distribute.MirroredStrategy()
    cpus = tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([each.name for each in cpus])


def _build_multi_worker() -> tf.distribute.Strategy:
    resolver = None
    if is_in_slurm(os.environ):
        resolver = tf.distribute.cluster_resolver.SlurmClusterResolver()
    return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)


def _build_tpu(name: str) -> tf.distribute.Strategy:
    resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=name)
    tf.config.experimental_connect_to_cluster(resolver)
    tf.tpu.experimental.initialize_tpu_system(resolver)
    return tf.distribute.TPUStrategy(resolver)


_BUILDERS = {"mirrored": _build_mirrored, "multi_worker": _build_multi_worker}


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Tells whether this process is the chief, which writes the results."""
    return replicas.find_worker(strategy)[0] == 0


def wait_for_all(strategy: tf.distribute.Strategy) -> None:
    """Blocks until every worker has called this; returns at once if alone."""
    # A sum over all replicas ends only when each has contributed.
    if replicas.find_worker(strategy)[1] > 1:
        ones = strategy.run(lambda: tf.ones([]))
        strategy.reduce(tf.distribute.ReduceOp.SUM, ones, axis=None)


def is_true_anywhere(strategy: tf.distribute.Strategy, *, here: bool) -> bool:
    """Tells whether `here` is True on at least one worker.

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
    """Checks that all workers pass the same numbers.

    They come from the checkpoint that each worker has read: where a shared
    folder shows its files late, workers may find different ones. Blocks until
    all workers have called it.

    Args:
        strategy: The strategy of the run.
        numbers: Epoch, step and recoveries of the checkpoint.

    Raises:
        RunError: A worker passes other numbers.
    """
    if replicas.find_worker(strategy)[1] == 1:
        return
    own = tf.constant(list(numbers), tf.float32)
    found = strategy.reduce(
        tf.distribute.ReduceOp.SUM, strategy.run(lambda: own), axis=None
    )
    mean = found / strategy.num_replicas_in_sync
    # Whole numbers: equal ones differ from their mean by rounding only.
    if not bool(tf.reduce_all(tf.abs(mean - own) < 1e-3)):
        raise errors.RunError(
            "The workers found different checkpoints in the workdir: this one "
            f"would resume from {list(numbers)} (epoch, step, recoveries), "
            f"their mean is {mean.numpy().tolist()}. Is it a folder that all "
            "of them share? Start the same command again."
        )


@contextlib.contextmanager
def run_chief_first(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Runs its block on the chief before the other workers run it.

    The others then find and read the files that the chief has written.
    """
    if not is_chief(strategy):
        wait_for_all(strategy)
    yield
    if is_chief(strategy):
        wait_for_all(strategy)


@contextlib.contextmanager
def report_lost_worker(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Converts errors of lost workers in its block to a `RunError`.

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
