"""Tests of tf_finetune/training/devices/batch_probe.py."""

import numpy as np

from tf_finetune.config import options, train
from tf_finetune.training.devices import batch_probe, batch_size


def test_a_child_trains_a_few_steps_and_says_what_they_took():
    config = options.from_keywords(
        train.TrainConfig,
        {"backbone": "small_cnn", "weights": "none", "image_size": 32},
    )
    failure: list[str] = []
    trial = batch_size._tried(config, 2, 3, failure)
    assert failure == []
    assert trial.on_cpu
    # TensorFlow alone takes some hundred megabytes.
    assert 1e8 < trial.peak_bytes < 1e10


def test_the_peak_stays_when_the_memory_is_given_back():
    before = batch_probe.peak_bytes()
    taken = np.ones(before + 50 * 2**20, dtype="uint8")
    assert batch_probe.peak_bytes() >= before + 40 * 2**20
    del taken
    assert batch_probe.peak_bytes() >= before + 40 * 2**20
