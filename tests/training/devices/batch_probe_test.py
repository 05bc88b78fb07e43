"""Tests of tf_finetune/training/devices/batch_probe.py."""

import subprocess
import sys

from tf_finetune.config import options, train_config
from tf_finetune.training.devices import batch_size_search


def test_a_child_trains_a_few_steps_and_says_what_they_took():
    config = options.from_keywords(
        train_config.TrainConfig,
        {"backbone": "small_cnn", "weights": "none", "image_size": 32},
    )
    failure: list[str] = []
    trial = batch_size_search._try_in_child(config, 2, 3, failure)
    assert failure == []
    assert trial.on_cpu
    # TensorFlow alone takes some hundred megabytes.
    assert 1e8 < trial.peak_bytes < 1e10


_PEAKS = """
from tf_finetune.training.devices import batch_probe
before = batch_probe.read_peak_bytes()
taken = b"x" * (before + 50 * 2**20)
during = batch_probe.read_peak_bytes()
del taken
print(before, during, batch_probe.read_peak_bytes())
"""


def test_the_peak_stays_when_the_memory_is_given_back():
    # In a process of its own: the peak of this one may be gigabytes.
    done = subprocess.run(
        [sys.executable, "-c", _PEAKS], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    before, during, after = map(int, done.stdout.split())
    assert before < 2**30
    assert during >= before + 40 * 2**20
    assert after >= before + 40 * 2**20
