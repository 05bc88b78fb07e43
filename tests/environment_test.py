"""Tests of tf_finetune/environment.py."""

import json
import os
import subprocess
import sys

import pytest

from tf_finetune import environment, errors


@pytest.mark.parametrize(
    ("given", "expected"), [(None, "1"), ("0", "0"), ("1", "1")]
)
def test_onednn_is_on_unless_the_users_environment_says(given, expected):
    surroundings = {
        name: value
        for name, value in os.environ.items()
        if name != environment.ONEDNN_VARIABLE
    }
    if given is not None:
        surroundings[environment.ONEDNN_VARIABLE] = given
    code = (
        "import os, sys\n"
        # What matters is the variable at the moment TensorFlow loads.
        "class Seen:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'tensorflow':\n"
        "            print(os.environ.get('TF_ENABLE_ONEDNN_OPTS'))\n"
        "            os._exit(sys.stdout.flush() or 0)\n"
        "sys.meta_path.insert(0, Seen())\n"
        "from tf_finetune import environment\n"
        "environment.start_tensorflow()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=surroundings,
    )
    assert done.stdout.strip() == expected, done.stderr


@pytest.mark.parametrize(
    ("value", "words"),
    [(None, "as TensorFlow chose"), ("0", "off"), ("1", "on"), ("True", "on")],
)
def test_onednn_is_reported_as_the_environment_has_it(
    monkeypatch, value, words
):
    if value is None:
        monkeypatch.delenv(environment.ONEDNN_VARIABLE, raising=False)
    else:
        monkeypatch.setenv(environment.ONEDNN_VARIABLE, value)
    assert environment.describe_onednn() == words


def test_a_tensorflow_that_is_loaded_already_is_not_misreported(monkeypatch):
    pytest.importorskip("tensorflow")
    monkeypatch.delenv(environment.ONEDNN_VARIABLE, raising=False)
    environment.start_tensorflow()
    assert environment.ONEDNN_VARIABLE not in os.environ


def _environment(kind: str, index: int, **cluster_tasks) -> dict[str, str]:
    task = {"type": kind, "index": index}
    return {"TF_CONFIG": json.dumps({"cluster": cluster_tasks, "task": task})}


def test_the_first_worker_is_the_chief():
    assert environment.read_worker_number({}) == 0
    two = {"worker": ["a:1", "b:1"]}
    assert environment.read_worker_number(_environment("worker", 0, **two)) == 0
    assert environment.read_worker_number(_environment("worker", 1, **two)) == 1


def test_a_task_called_chief_comes_before_the_workers():
    tasks = {"chief": ["a:1"], "worker": ["b:1"]}
    assert (
        environment.read_worker_number(_environment("chief", 0, **tasks)) == 0
    )
    assert (
        environment.read_worker_number(_environment("worker", 0, **tasks)) == 1
    )


def test_slurm_numbers_its_tasks():
    assert environment.read_worker_number({"SLURM_PROCID": "3"}) == 3


@pytest.mark.parametrize("text", ["{", "[]", '{"task": {"index": "a"}}'])
def test_a_broken_cluster_is_a_sentence(text):
    with pytest.raises(errors.UsageError, match="TF_CONFIG does not describe"):
        environment.read_worker_number({"TF_CONFIG": text})
