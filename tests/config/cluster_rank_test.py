"""Tests of tf_finetune/config/cluster_rank.py."""

import json

import pytest

from tf_finetune import errors
from tf_finetune.config import cluster_rank


def _environment(kind: str, index: int, **cluster_tasks) -> dict[str, str]:
    task = {"type": kind, "index": index}
    return {"TF_CONFIG": json.dumps({"cluster": cluster_tasks, "task": task})}


def test_the_first_worker_is_the_chief():
    assert cluster_rank.read_worker_number({}) == 0
    two = {"worker": ["a:1", "b:1"]}
    assert (
        cluster_rank.read_worker_number(_environment("worker", 0, **two)) == 0
    )
    assert (
        cluster_rank.read_worker_number(_environment("worker", 1, **two)) == 1
    )


def test_a_task_called_chief_comes_before_the_workers():
    tasks = {"chief": ["a:1"], "worker": ["b:1"]}
    assert (
        cluster_rank.read_worker_number(_environment("chief", 0, **tasks)) == 0
    )
    assert (
        cluster_rank.read_worker_number(_environment("worker", 0, **tasks)) == 1
    )


def test_slurm_numbers_its_tasks():
    assert cluster_rank.read_worker_number({"SLURM_PROCID": "3"}) == 3


@pytest.mark.parametrize("text", ["{", "[]", '{"task": {"index": "a"}}'])
def test_a_broken_cluster_is_a_sentence(text):
    with pytest.raises(errors.UsageError, match="TF_CONFIG does not describe"):
        cluster_rank.read_worker_number({"TF_CONFIG": text})
