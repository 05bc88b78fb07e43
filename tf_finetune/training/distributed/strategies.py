"""Builders of `tf.distribute` strategies by name."""

import json
import os
from collections.abc import Mapping

import tensorflow as tf
from absl import logging

from tf_finetune import errors


def build_strategy(name: str, *, tpu: str = "") -> tf.distribute.Strategy:
    """Builds the strategy that `--strategy` names.

    Args:
        name: "auto" takes all GPUs of this machine when it has several, else
            the one device; "one_device"; "mirrored" (all GPUs, or all logical
            CPU devices); "multi_worker" (the cluster comes from TF_CONFIG,
            else from Slurm); "tpu".
        tpu: Name or address of the TPU; empty: the machine's own.

    Raises:
        RunError: The devices that the strategy needs are not there.
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
    replicas = chosen.num_replicas_in_sync
    logging.info("strategy: %s on %d replica(s)", name, replicas)
    return chosen


def is_in_slurm(environment: Mapping[str, str]) -> bool:
    """Whether the cluster comes from Slurm: a job step without TF_CONFIG."""
    has_cluster = bool(
        json.loads(environment.get("TF_CONFIG") or "{}").get("cluster")
    )
    return not has_cluster and "SLURM_STEP_NUM_TASKS" in environment


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
