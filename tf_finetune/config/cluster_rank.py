"""Rank of this process in a cluster, read without TensorFlow."""

import json
import os
from collections.abc import Mapping

from tf_finetune import errors


def read_worker_number(environment: Mapping[str, str] | None = None) -> int:
    """Returns the number of this worker, from 0, the chief.

    Args:
        environment: TF_CONFIG is read, else SLURM_PROCID; none: that of this
            process.

    Raises:
        UsageError: TF_CONFIG does not describe a cluster.
    """
    environment = os.environ if environment is None else environment
    text = environment.get("TF_CONFIG")
    if not text:
        # The rank that Slurm gives a process; a single process has none.
        return int(environment.get("SLURM_PROCID", 0))
    try:
        found = json.loads(text)
        cluster, task = found.get("cluster", {}), found.get("task", {})
        kind, index = task.get("type", "worker"), int(task.get("index", 0))
        chiefs = len(cluster.get("chief", ()))
    except (ValueError, AttributeError, TypeError) as error:
        raise errors.UsageError(
            f"TF_CONFIG does not describe a cluster ({error}): it must be "
            'JSON such as {"cluster": {"worker": ["host1:1234", '
            '"host2:1234"]}, "task": {"type": "worker", "index": 0}}.'
        ) from error
    # The chief, if there is one, is number 0; the workers follow.
    return index if kind == "chief" else index + chiefs


def is_non_chief(strategy: str) -> bool:
    """Returns whether this process is a worker other than the chief."""
    return strategy == "multi_worker" and read_worker_number() > 0
