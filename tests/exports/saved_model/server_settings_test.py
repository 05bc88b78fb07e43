"""What TensorFlow Serving is told; needs no TensorFlow."""

import re

import pytest

from tf_finetune.exports.saved_model import server_settings


class _Machine:
    """A clock that a model with known costs moves."""

    def __init__(self, fixed, each):
        self.time, self.fixed, self.each = 0.0, fixed, each
        self.batches = []

    def answer(self, batch):
        self.batches.append(list(batch))
        self.time += self.fixed + self.each * len(batch)

    def measure(self, budget_seconds=2.0):
        return server_settings.time_batches(
            self.answer,
            [b"a", b"b", b"c"],
            budget_seconds=budget_seconds,
            clock=lambda: self.time,
        )


def test_every_batch_size_is_timed_on_real_pictures_in_turn():
    machine = _Machine(fixed=0.004, each=0.001)

    measured = machine.measure()

    assert [each.batch_size for each in measured] == [1, 2, 4, 8, 16, 32]
    assert [each.seconds for each in measured] == pytest.approx(
        [0.005, 0.006, 0.008, 0.012, 0.020, 0.036]
    )
    assert [b"a", b"b", b"c", b"a"] in machine.batches


def test_a_slow_model_is_not_measured_longer_than_the_budget():
    machine = _Machine(fixed=0.0, each=0.3)

    measured = machine.measure()

    assert [each.batch_size for each in measured] == [1]
    assert machine.time <= 2.0


def test_the_first_size_is_measured_however_long_it_takes():
    assert len(_Machine(fixed=60.0, each=0).measure()) == 1


def test_the_smallest_batch_near_the_highest_rate_is_taken():
    measured = [
        server_settings.BatchTiming(batch_size=size, seconds=size / rate)
        for size, rate in ((1, 50.0), (2, 90.0), (4, 97.0), (8, 100.0))
    ]

    assert server_settings.choose_batch(measured).batch_size == 4

    text = server_settings.render_batching_parameters(
        measured, cores=2, kind="whole rows"
    )
    assert text.startswith("# Measured while exporting, whole rows on")
    assert "max_batch_size { value: 4 }" in text
    # Half of the 20 ms that one picture takes.
    assert "batch_timeout_micros { value: 10000 }" in text
    assert "num_batch_threads { value: 2 }" in text
    # 97 pictures a second in batches of 4.
    assert "max_enqueued_batches { value: 24 }" in text


def test_a_slow_model_still_has_a_place_in_the_queue_for_each_thread():
    measured = [server_settings.BatchTiming(batch_size=1, seconds=3.0)]

    text = server_settings.render_batching_parameters(
        measured, cores=4, kind="encoded pictures"
    )

    assert "max_enqueued_batches { value: 4 }" in text


def test_the_official_class_reads_the_models_name(tmp_path):
    text_format = pytest.importorskip("google.protobuf.text_format")
    config_pb2 = pytest.importorskip(
        "tensorflow_serving.config.model_server_config_pb2"
    )
    measured = [server_settings.BatchTiming(batch_size=1, seconds=0.01)]

    server_settings.write_settings(
        tmp_path,
        "ants_or_bees",
        server_settings.render_batching_parameters(
            measured, cores=2, kind="encoded pictures"
        ),
    )

    config = text_format.Parse(
        (tmp_path / "model.config").read_text(), config_pb2.ModelServerConfig()
    )
    (model,) = config.model_config_list.config
    assert (model.name, model.base_path) == (
        "ants_or_bees",
        "/models/ants_or_bees",
    )
    # The package has no class for the other file; it is lines like these.
    lines = (tmp_path / "batching_parameters.txt").read_text().splitlines()
    fields = [each for each in lines if not each.startswith("#")]
    assert len(fields) == 4
    assert all(re.fullmatch(r"\w+ \{ value: \d+ \}", each) for each in fields)
