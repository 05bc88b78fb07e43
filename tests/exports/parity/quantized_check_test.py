"""Verdicts on exports in few bits; needs no TensorFlow model."""

import dataclasses
import pathlib
import re

import numpy as np
import pytest

from tf_finetune import errors
from tf_finetune.exports import format_checks
from tf_finetune.exports import job as jobs
from tf_finetune.exports.parity import quantized_check


def _job(predictions, truth=None, task="classification", **changes):
    predictions = np.array(predictions)
    proof = jobs.ParityReference(
        paths=tuple(str(i) for i in range(len(predictions))),
        predictions=predictions,
        truth=truth,
    )
    return jobs.ExportJob(
        model=None,
        class_names=("a", "b"),
        image_size=8,
        resize="squash",
        destination=pathlib.Path(),
        proof=proof,
        task=task,
        **changes,
    )


def _judge(got, job, name="x"):
    return quantized_check.check_decisions(
        name,
        np.array(got),
        job.proof,
        job,
        instead=("litert_float16", "litert"),
    )


def test_what_passes_is_counted():
    job = _job([[0.9, 0.1], [0.2, 0.8]], np.array([0, 1]))

    tolerance, figures = _judge([[0.86, 0.14], [0.2, 0.8]], job)

    assert figures["max_abs_difference"] == pytest.approx(0.04)
    assert figures["mean_abs_difference"] == pytest.approx(0.02)
    assert figures["accuracy"] == 1.0
    assert tolerance["mean_abs_difference"] == 0.1


def test_a_refusal_says_why_and_what_to_use():
    job = _job([[0.9, 0.1]] * 20)

    with pytest.raises(errors.RunError, match="in the mean") as caught:
        _judge([[0.7, 0.3]] * 20, job, name="model_int8.tflite")

    assert "model_int8.tflite" in str(caught.value)
    assert "--format=litert_float16" in str(caught.value)


def test_floating_point_that_is_less_exact_has_a_bound_of_its_own():
    job = _job([[0.9, 0.1]] * 20)

    def judge(got):
        return quantized_check.check_decisions(
            "x", np.array(got), job.proof, job, mean_allowed=0.01
        )

    assert judge([[0.895, 0.105]] * 20)[0]["mean_abs_difference"] == 0.01
    with pytest.raises(errors.RunError, match=r"0\.02 in the mean") as caught:
        judge([[0.88, 0.12]] * 20)
    assert "(allowed 0.01)" in str(caught.value)
    # It names no format unless it is told one.
    assert "litert_float16" not in str(caught.value)


def test_the_task_judges_and_knows_what_was_decided():
    # With the threshold 0.5 nothing would change.
    decision = {"thresholds": {"a": 0.1, "b": 0.5}}
    job = _job([[0.2, 0.2]] * 20, task="multilabel", decision=decision)
    got = [[0.05, 0.2]] * 2 + [[0.2, 0.2]] * 18

    with pytest.raises(errors.RunError, match="90.0% of the labels clearly"):
        _judge(got, job)


def test_numbers_of_any_size_differ_by_shares_of_their_range():
    job = _job(
        [[1e6, 1.0], [2e6, 2.0]], task="regression", unit=np.array([1e6, 1.0])
    )

    _, figures = _judge([[1.05e6, 1.0], [2e6, 2.0]], job)

    assert figures["max_abs_difference"] == pytest.approx(0.05)
    assert figures["per_target"]["b"]["mean_abs_difference"] == 0.0


class TestTolerance:
    """Twenty pictures of the first class, of which some are told wrong."""

    def _job(self, **losses):
        job = _job([[0.9, 0.1]] * 20, np.zeros(20, int))
        return dataclasses.replace(job, tolerance=losses)

    def _wrong(self, count):
        return [[0.1, 0.9]] * count + [[0.9, 0.1]] * (20 - count)

    def test_the_loss_that_is_allowed_decides_alone(self):
        with pytest.raises(errors.RunError, match="accuracy 90.0%"):
            _judge(self._wrong(2), self._job())
        tolerance, figures = _judge(self._wrong(2), self._job(accuracy=0.1))
        assert tolerance == {"accuracy_loss": 0.1}
        assert figures["accuracy"] == 0.9
        # Nearly everything is less sure, and nothing is lost.
        _judge([[0.51, 0.49]] * 20, self._job(accuracy=0.0))

    def test_a_larger_loss_is_refused(self):
        with pytest.raises(errors.RunError, match=r"\(allowed 0\.05\)"):
            _judge(self._wrong(2), self._job(accuracy=0.05))

    @pytest.mark.parametrize("count", [2, 3, 7, 20])
    def test_the_tolerance_that_is_advised_allows_it(self, count):
        with pytest.raises(errors.RunError) as caught:
            _judge(self._wrong(count), self._job())
        (told,) = re.findall(r"--tolerance=(\S+) allows", str(caught.value))
        losses = format_checks.parse_tolerance(told.split(","), ("accuracy",))
        _judge(self._wrong(count), self._job(**losses))

    def test_without_a_truth_there_is_no_loss(self):
        job = _job([[0.9, 0.1]] * 20, tolerance={"accuracy": 0.5})
        with pytest.raises(errors.RunError, match="without --tolerance"):
            _judge([[0.9, 0.1]] * 20, job)

    def test_every_target_may_lose_what_is_allowed(self):
        values = np.arange(25.0)[:, None] * [1, 10]
        job = _job(
            values,
            values,
            task="regression",
            unit=np.array([24.0, 240.0]),
            tolerance={"r2": 0.05},
        )
        _judge(values + [1.0, 0.0], job)
        with pytest.raises(errors.RunError, match="R² of b"):
            _judge(values + [0.0, 80.0], job)
