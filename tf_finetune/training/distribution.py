"""Which devices train: `tf.distribute` strategies by name."""

import tensorflow as tf
from absl import logging

from tf_finetune import errors


def strategy(name: str) -> tf.distribute.Strategy:
    """Returns the strategy that `--strategy` names.

    Args:
        name: "auto" takes all GPUs of this machine when it has several, else
            the one device; "one_device"; "mirrored"; "multi_worker" (the
            cluster comes from TF_CONFIG); "tpu".

    Raises:
        RunError: The devices that the strategy needs are not there.
    """
    gpus = tf.config.list_logical_devices("GPU")
    if name == "auto":
        name = "mirrored" if len(gpus) > 1 else "one_device"
    if name == "one_device":
        return tf.distribute.get_strategy()
    try:
        chosen = _BUILDERS[name]()
    except (ValueError, RuntimeError, tf.errors.OpError) as error:
        raise errors.RunError(
            f"--strategy={name} cannot start here: {error} Use "
            "--strategy=auto for what this machine has."
        ) from error
    replicas = chosen.num_replicas_in_sync
    logging.info("strategy: %s on %d replica(s)", name, replicas)
    return chosen


def _tpu() -> tf.distribute.Strategy:
    resolver = tf.distribute.cluster_resolver.TPUClusterResolver()
    tf.config.experimental_connect_to_cluster(resolver)
    tf.tpu.experimental.initialize_tpu_system(resolver)
    return tf.distribute.TPUStrategy(resolver)


_BUILDERS = {
    "mirrored": tf.distribute.MirroredStrategy,
    "multi_worker": tf.distribute.MultiWorkerMirroredStrategy,
    "tpu": _tpu,
}
