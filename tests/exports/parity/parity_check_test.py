"""The comparison that decides whether an export is done."""

import dataclasses

import numpy as np
import pytest

from tf_finetune import errors, files
from tf_finetune.exports.parity import parity_check


def test_figures_of_a_comparison():
    expected = np.array([[0.6, 0.4], [0.3, 0.7]])
    got = np.array([[0.4, 0.6], [0.3, 0.7]])

    figures = parity_check.compare_predictions(expected, got)

    assert figures["max_abs_difference"] == pytest.approx(0.2)
    assert figures["mean_abs_difference"] == pytest.approx(0.1)
    assert figures["top_1_agreement"] == 0.5


@pytest.mark.parametrize("got", [[[np.nan, 0.5]], [[0.5, 0.3, 0.2]]])
def test_numbers_that_cannot_be_compared_are_an_error(got):
    with pytest.raises(errors.RunError):
        parity_check.compare_predictions(np.array([[0.5, 0.5]]), np.array(got))


def test_every_way_of_asking_must_agree(make_job):
    job = make_job()
    answers = {
        "right": job.proof.predictions,
        "wrong": np.full([len(job.proof.paths), 3], 1 / 3),
    }

    with pytest.raises(errors.RunError, match=r"model\.x \(wrong\)"):
        parity_check.check_predictions("model.x", answers, job, allowed=1e-5)


def test_differences_count_beside_the_size_of_each_output():
    expected = np.array([[1e6, 0.1], [3e6, 0.3]])
    unit = parity_check.compute_units(expected)
    np.testing.assert_allclose(unit, [2e6, 0.2])
    # Nothing beside the first output, all of the range of the second.
    wrong = expected + [0, 0.2]
    got = parity_check.compare_predictions(expected, wrong, unit=unit)
    assert got["max_abs_difference"] == pytest.approx(1)
    close = expected + [20, 2e-6]
    got = parity_check.compare_predictions(expected, close, unit=unit)
    assert got["max_abs_difference"] == pytest.approx(1e-5)


def test_an_output_that_hardly_varies_counts_beside_its_size():
    assert parity_check.compute_units(np.array([[500.0], [500.0]])) == [5.0]
    assert parity_check.compute_units(np.zeros([1, 1])) > 0


def test_an_export_is_proven_in_units(make_job):
    job = make_job()
    unit = np.array([1e6, 1e-3, 1.0])
    job = dataclasses.replace(job, unit=unit)
    assert parity_check.choose_tolerance(job) == parity_check.TOLERANCE
    good = job.proof.predictions + [1.0, 1e-9, 1e-6]
    parity_check.check_predictions("x", {"way": good}, job, allowed=1e-5)
    bad = job.proof.predictions + [0, 1e-6, 0]
    with pytest.raises(errors.RunError, match="differs from the evaluation"):
        parity_check.check_predictions("x", {"way": bad}, job, allowed=1e-5)


@pytest.mark.parametrize(
    ("rounding", "allowed"),
    [(0.0, 1e-5), (2e-6, 1e-5), (1e-4, 4e-4), (0.01, 1e-3)],
)
def test_a_network_that_rounds_more_is_allowed_more_up_to_a_limit(
    make_job, rounding, allowed
):
    job = dataclasses.replace(make_job(), rounding=rounding)

    assert parity_check.choose_tolerance(job) == pytest.approx(allowed)


def test_mixed_precision_is_allowed_more(make_job, mixed_model):
    job = parity_check.measure_rounding(make_job(model=mixed_model))

    assert job.rounding == 0
    assert 1e-3 < parity_check.choose_tolerance(job) < 0.05


def test_rounding_is_what_two_computations_differ_by(make_job, monkeypatch):
    job = make_job()
    assert 0 <= parity_check.measure_rounding(job).rounding < 2e-6

    def shifted(model):
        return lambda images: model(images) + 0.25

    monkeypatch.setattr(parity_check.inference, "compile_step", shifted)
    assert parity_check.measure_rounding(job).rounding == pytest.approx(
        0.25, abs=1e-5
    )


def test_what_the_evaluation_said_is_no_part_of_rounding(make_job):
    right, wrong = make_job(), make_job(spoil=0.1)

    assert (
        parity_check.measure_rounding(wrong).rounding
        == parity_check.measure_rounding(right).rounding
    )


def test_a_damaged_record_is_replaced(tmp_path):
    (tmp_path / "parity.json").write_text("{")

    parity_check.write_figures(tmp_path / "1", {"pictures": 3})

    assert parity_check.read_figures(tmp_path / "1") == {"pictures": 3}
    record = files.read_json(tmp_path / "parity.json")
    assert record == {"1": {"pictures": 3}}
