"""Tests of tf_finetune/training/devices/batch_size_search.py."""

import pathlib

import pytest

from tf_finetune import errors
from tf_finetune.config import options, train_config
from tf_finetune.training.devices import batch_size_search

_GB = 10**9


class Machine:
    """A CPU that takes 1 GB and so much more a picture, or a GPU."""

    def __init__(self, per_picture=0.01, fails_above=10**9, on_cpu=True):
        self.requested_config = []
        self._per_picture, self._fails_above = per_picture, fails_above
        self._on_cpu = on_cpu

    def __call__(self, size):
        self.requested_config.append(size)
        if size > self._fails_above:
            return None
        peak = int((1 + size * self._per_picture) * _GB)
        return batch_size_search.Trial(on_cpu=self._on_cpu, peak_bytes=peak)


def _largest(machine, most=1000, limit=10 * _GB):
    return batch_size_search.search_largest(
        batch_size_search.list_powers_of_two(most), machine, limit
    )


def _config(**keywords) -> train_config.TrainConfig:
    keywords = {"data": "x", "batch_size": "auto", **keywords}
    return options.from_keywords(train_config.TrainConfig, keywords)


@pytest.mark.parametrize(
    ("most", "expected"),
    [
        (1, [1]),
        (7, [1, 2, 4]),
        (8, [1, 2, 4, 8]),
        (9999, [1, 2, 4, 8, 16, 32, 64, 128, 256]),
    ],
)
def test_sizes_are_powers_of_two_up_to_256_and_the_pictures(most, expected):
    assert batch_size_search.list_powers_of_two(most) == expected


def test_a_cpu_is_measured_at_two_sizes_and_the_promise_is_tried():
    # 1 GB + 64 * 0.1 GB are 7.4 GB, 1 GB + 128 * 0.1 GB are 13.8 GB.
    machine = Machine(per_picture=0.1)
    assert _largest(machine) == 64
    assert machine.requested_config == [8, 16, 64]


def test_a_promise_that_fails_is_followed_by_the_next_smaller_size():
    machine = Machine(per_picture=0.01, fails_above=100)
    assert _largest(machine) == 64
    assert machine.requested_config == [8, 16, 256, 128, 64]


def test_a_size_that_took_more_than_promised_is_not_taken():
    class Bent(Machine):
        def __call__(self, size):
            trial = super().__call__(size)
            extra = 9 * _GB if size > 32 else 0
            return batch_size_search.Trial(
                on_cpu=True, peak_bytes=trial.peak_bytes + extra
            )

    assert _largest(Bent(per_picture=0.02)) == 32


def test_a_gpu_is_tried_at_ever_larger_sizes():
    machine = Machine(on_cpu=False, fails_above=64)
    assert _largest(machine, limit=0) == 64
    assert machine.requested_config == [8, 16, 32, 64, 128]


def test_less_than_eight_is_tried_downwards():
    machine = Machine(fails_above=2)
    assert _largest(machine) == 2
    assert machine.requested_config == [8, 4, 2]
    assert _largest(Machine(fails_above=0)) is None


def test_no_more_than_the_pictures_are_tried():
    machine = Machine()
    assert _largest(machine, most=20) == 16
    assert machine.requested_config == [8, 16]
    assert _largest(Machine(), most=3) == 2


@pytest.mark.parametrize(
    ("optimizer", "size", "expected"),
    [
        # Defaults 1e-2, 1e-3 and 1e-3 for 32 pictures.
        ("sgd", 128, 4e-2),
        ("momentum", 16, 5e-4),
        ("adamw", 128, 2e-3),
        ("adam", 8, 0.5e-3),
        ("adamw", 32, 1e-3),
        ("gd", 128, None),
    ],
)
def test_a_default_learning_rate_follows_the_batch_size(
    optimizer, size, expected
):
    settled = batch_size_search.apply_batch_size(
        _config(optimizer=optimizer), size, 1000
    )
    assert settled.training.batch_size == size
    assert settled.training.learning_rate == (
        None if expected is None else pytest.approx(expected)
    )


def test_steps_of_other_rates_get_no_learning_rate():
    # Or a replay of the run would be told that nothing reads it.
    for changes in (
        {"epochs": 0},
        {"trainable": ("head",)},
        {"stages": ("top:1@0.1", "all:1@0.2")},
    ):
        settled = batch_size_search.apply_batch_size(
            _config(**changes), 256, 1000
        )
        assert settled.training.learning_rate is None


def test_stages_get_rates_where_those_of_their_methods_differ():
    # AdamW's 1e-3, times 2 for 4 times 32 pictures; lora's is twice that.
    settled = batch_size_search.apply_batch_size(
        _config(stages=("lora:3", "top:1@0.1", "all:1")), 128, 1000
    )
    assert settled.training.learning_rate is None
    assert settled.training.stages == (
        "lora:3@0.004", "top:1@0.1", "all:1@0.002",
    )  # fmt: skip
    settled = batch_size_search.apply_batch_size(
        _config(stages=("norm/top:3", "norm:1")), 128, 1000
    )
    assert settled.training.learning_rate == pytest.approx(6e-3)


def test_a_given_learning_rate_stays():
    settled = batch_size_search.apply_batch_size(
        _config(learning_rate=0.5), 256, 1000
    )
    assert settled.training.learning_rate == 0.5


def test_the_size_is_no_larger_than_the_training_split():
    settled = batch_size_search.apply_batch_size(_config(), 256, 100)
    assert settled.training.batch_size == 64


def test_free_memory_is_that_of_the_container(tmp_path: pathlib.Path):
    memory = tmp_path / "meminfo"
    memory.write_text("MemTotal: 9000 kB\nMemAvailable:    4000 kB\n")
    group = tmp_path / "group"
    group.mkdir()
    assert batch_size_search.read_available_bytes(memory, group) == 4000 * 1024
    (group / "memory.max").write_text("max\n")
    (group / "memory.current").write_text("5\n")
    assert batch_size_search.read_available_bytes(memory, group) == 4000 * 1024
    (group / "memory.max").write_text("1000\n")
    (group / "memory.current").write_text("400\n")
    assert batch_size_search.read_available_bytes(memory, group) == 600


def test_where_nothing_says_what_is_free_half_of_all_is_taken(tmp_path):
    found = batch_size_search.read_available_bytes(tmp_path / "none", tmp_path)
    assert 2**26 < found < 2**50


@pytest.mark.parametrize("changes", [{"epochs": 0}, {"optimizer": "gd"}])
def test_nothing_is_tried_where_no_step_depends_on_it(changes, monkeypatch):
    monkeypatch.setattr(batch_size_search, "_try_in_child", None)
    found = batch_size_search.find_largest_batch(
        _config(**changes), num_pictures=100, num_classes=2
    )
    assert found == 32


def test_a_child_that_fails_at_every_size_says_why():
    # An unknown backbone fails in the child as too little memory would.
    config = _config(backbone="no_such_network")
    with pytest.raises(errors.RunError, match="no_such_network"):
        batch_size_search.find_largest_batch(
            config, num_pictures=2, num_classes=2
        )


def test_a_killed_child_means_that_it_does_not_fit(monkeypatch):
    failure: list[str] = []
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    original = batch_size_search.subprocess.run

    def killed(command, **keywords):
        return original([command[0], "-c", code], **keywords)

    monkeypatch.setattr(batch_size_search.subprocess, "run", killed)
    assert batch_size_search._try_in_child(_config(), 8, 2, failure) is None
    assert failure == ["no error output (status -9)"]
