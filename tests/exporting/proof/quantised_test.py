"""Verdicts on exports in few bits; needs no TensorFlow model."""

import pathlib

import numpy as np
import pytest

from tf_finetune import errors
from tf_finetune.exporting import job as jobs
from tf_finetune.exporting.proof import quantised


def _job(predictions, truth=None, **changes):
    predictions = np.array(predictions)
    proof = jobs.Proof(
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
        **changes,
    )


def _judge(got, job, name="x"):
    return quantised.judge(name, np.array(got), job.proof, job)


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
        return quantised.judge(
            "x", np.array(got), job.proof, job, mean_allowed=0.01
        )

    assert judge([[0.895, 0.105]] * 20)[0]["mean_abs_difference"] == 0.01
    with pytest.raises(errors.RunError, match=r"0\.02 in the mean") as caught:
        judge([[0.88, 0.12]] * 20)
    assert "(allowed 0.01)" in str(caught.value)
    # The finer one is no way out: this is it.
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
