"""Verdicts on exports in few bits; needs no TensorFlow model."""

import numpy as np
import pytest

from tf_finetune import errors
from tf_finetune.exporting import job as jobs
from tf_finetune.exporting import quantised


def _proof(sure=16, unsure=4):
    """Twenty pictures of class 0; the last ones the evaluation doubts."""
    rows = [[0.9, 0.1]] * sure + [[0.55, 0.45]] * unsure
    return jobs.Proof(
        paths=tuple(str(i) for i in range(len(rows))),
        predictions=np.array(rows),
        labels=np.zeros(len(rows), dtype=int),
    )


def test_small_differences_pass_and_are_counted():
    proof = _proof()
    got = proof.predictions + [[-0.04, 0.04]]

    figures = quantised.judge("x", got, proof)

    assert figures["mean_abs_difference"] == pytest.approx(0.04)
    assert figures["decided_agreement"] == 1.0
    assert figures["accuracy"] == figures["evaluation_accuracy"] == 1.0


def test_an_unsure_picture_may_fall_on_the_other_side():
    proof = _proof()
    got = proof.predictions.copy()
    got[-1] = [0.49, 0.51]

    figures = quantised.judge("x", got, proof)

    assert figures["top_1_agreement"] == pytest.approx(0.95)
    assert figures["decided_agreement"] == 1.0
    assert figures["accuracy"] == pytest.approx(0.95)


def test_sure_pictures_must_stay():
    proof = _proof(sure=40, unsure=0)
    got = proof.predictions.copy()
    got[:5] = [0.4, 0.6]  # 87.5 % stay; their true classes are unknown.
    unlabelled = jobs.Proof(paths=proof.paths, predictions=proof.predictions)

    with pytest.raises(errors.RunError, match="the same class for 87.5%"):
        quantised.judge("x", got, unlabelled)


def test_a_loss_of_accuracy_is_refused():
    proof = _proof()
    got = proof.predictions.copy()
    got[-2:] = [0.49, 0.51]

    with pytest.raises(errors.RunError, match="accuracy 90.0% instead of 100"):
        quantised.judge("model_int8.tflite", got, proof)


def test_a_shift_of_all_probabilities_is_refused():
    proof = _proof(unsure=0)

    with pytest.raises(errors.RunError, match="in the mean") as caught:
        quantised.judge("x", proof.predictions - [[0.2, -0.2]], proof)

    assert "--format=litert_float16" in str(caught.value)


def test_without_a_decided_picture_there_is_no_agreement_to_ask_for():
    proof = _proof(sure=0, unsure=4)

    figures = quantised.judge("x", proof.predictions, proof)

    assert figures["decided_agreement"] is None


def test_without_labels_there_is_no_accuracy():
    proof = jobs.Proof(paths=("a",), predictions=np.array([[0.9, 0.1]]))

    figures = quantised.judge("x", proof.predictions, proof)

    assert "accuracy" not in figures
