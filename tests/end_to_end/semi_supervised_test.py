"""Runs that also learn from pictures without labels."""

import pathlib
import shutil
import signal

import numpy as np
import pytest
import quiet
from PIL import Image

import tf_finetune
from tf_finetune import errors, files


@pytest.fixture(scope="module")
def pool(tmp_path_factory) -> pathlib.Path:
    """Twelve new pictures, a file that is none, one that is cut off."""
    folder = tmp_path_factory.mktemp("pool")
    generator = np.random.default_rng(1)
    for number in range(12):
        pixels = generator.integers(0, 120, [40, 48, 3], dtype="uint8")
        pixels[..., number % 3] += 100
        Image.fromarray(pixels).save(folder / f"{number}.png")
    (folder / "note.txt").write_text("no picture")
    whole = (folder / "0.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    return folder


@pytest.fixture(scope="module")
def learn(train):
    """Trains on pictures and a pool in a folder; returns run and report."""
    return lambda pictures, pool, place, **more: train(
        pictures, place, unlabeled_data=str(pool), **{"epochs": 1, **more}
    )


@pytest.fixture(scope="module")
def labeled_few(pictures, pool, learn, tmp_path_factory):
    """A run with pseudo-labels, some held-out pictures lying in the pool."""
    everything = tmp_path_factory.mktemp("everything")
    shutil.copytree(pool, everything / "new")
    shutil.copytree(pictures, everything / "old")
    place = tmp_path_factory.mktemp("runs") / "few"
    few = {"max_train_per_class": 3, "cache": "on"}
    return learn(pictures, everything, place, **few)


def test_what_is_held_out_is_taken_from_the_pool(labeled_few, pictures):
    run, text = labeled_few
    found = run.evaluation["unlabeled"]["pool"]
    held_out = {
        split: run.evaluation[split]["examples"]
        for split in ("train", "validation", "test")
    }
    assert found["in_own_data"] == held_out
    assert found["used"] == 12 + 48 - sum(held_out.values())
    assert len(found["dropped"]) == 2
    assert "does not decode" in text
    assert "note.txt" in text


def test_both_figures_are_printed_and_the_better_one_is_kept(labeled_few):
    run, text = labeled_few
    assert "on validation: supervised accuracy" in text
    validation = run.evaluation["validation"]
    beside = validation["baselines"]
    assert {"supervised", "pseudo_label"} <= set(beside)
    best = max(
        beside[name]["accuracy"] for name in ("supervised", "pseudo_label")
    )
    assert validation["accuracy"] == best
    facts = run.evaluation["unlabeled"]
    assert facts["objective"] == "pseudo_label"
    assert run.evaluation["kept"].startswith("pseudo_label") == facts["kept"]


def test_the_precision_of_guesses_is_reported(labeled_few):
    run, text = labeled_few
    facts = run.evaluation["unlabeled"]
    assert facts["precision"] == 1.0
    assert facts["precision_of"]["held_out"] == 9
    assert "(precision 1.000)" in text
    assert 0 < facts["learned"] <= facts["pool"]["used"]


def test_a_run_leaves_no_checkpoints_and_says_what_it_kept(labeled_few):
    run, _ = labeled_few
    assert not [*(run.workdir / "checkpoints").glob("*")]
    stages = {row["stage"] for row in run.history}
    assert stages == {"fine_tune", "pseudo_label"}
    again = quiet.evaluate(run.workdir)
    for split in ("validation", "test"):
        assert again[split]["accuracy"] == run.evaluation[split]["accuracy"]


@pytest.mark.parametrize(
    "objective", ["ada_bn", "feature_distillation", "fixmatch"]
)
def test_every_objective_goes_from_pictures_to_figures(
    pictures, pool, learn, tmp_path, objective
):
    run, text = learn(
        pictures,
        pool,
        tmp_path / "run",
        objective=objective,
        cache="off",
    )
    assert "on validation: supervised" in text
    facts = run.evaluation["unlabeled"]
    assert facts["objective"] == objective
    assert objective in run.evaluation["test"]["baselines"]
    figures = files.read_json(run.workdir / "evaluation.json")
    assert figures == run.evaluation


@pytest.fixture(params=["multilabel", "segmentation"])
def few_of(request, color_table, scenes):
    """Labeled pictures, the folder of all of them, settings of the task."""
    if request.param == "multilabel":
        own = {"task": "multilabel", "label_column": ("colors",)}
        return color_table, color_table.parent, own
    own = {
        "task": "segmentation",
        "ignore_label": "void",
        "weights": "none",
        "head": "fcn_8s",
        "head_units": 16,
        "head_epochs": 5,
    }
    return scenes, scenes / "images", own


@pytest.mark.slow
def test_labels_of_every_kind_are_guessed_and_judged(few_of, learn, tmp_path):
    data, pool, own = few_of
    run, text = learn(
        data,
        pool,
        tmp_path / "run",
        objective="pseudo_label",
        max_train_per_class=3,
        cache="off",
        **own,
    )
    written = files.read_json(run.workdir / "evaluation.json")
    for split in ("validation", "test"):
        baselines = written[split]["baselines"]
        assert {"supervised", "pseudo_label"} <= set(baselines)
    facts = written["unlabeled"]
    assert 0 <= facts["precision"] <= 1
    assert 0 < facts["learned"] <= facts["pool"]["used"]
    assert f"(precision {facts['precision']:.3f})" in text


@pytest.mark.slow
def test_a_run_stopped_among_groups_goes_on_where_it_was(
    pictures, pool, tmp_path, start_training
):
    pool = shutil.copytree(pool, tmp_path / "pool")

    def train(place):
        return start_training(
            place,
            data=pictures,
            unlabeled_data=pool,
            objective="fixmatch",
            cache="off",
        )

    assert train("whole").wait(timeout=300).returncode == 0
    inner = tmp_path / "stopped" / "checkpoints" / "unlabeled" / "checkpoints"
    status, _ = train("stopped").end_when(
        lambda: any(inner.glob("*.checkpoint")), signal.SIGTERM
    )
    assert status == 143
    Image.new("RGB", (40, 48)).save(pool / "new.png")
    assert train("stopped").wait(timeout=300).returncode == 2
    (pool / "new.png").unlink()
    assert train("stopped").wait(timeout=300).returncode == 0
    for name in ("history.csv", "evaluation.json", "predictions.csv"):
        found, expected = (
            (tmp_path / place / name).read_text()
            for place in ("stopped", "whole")
        )
        assert found == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"objective": "fixmatch"}, "needs --unlabeled_data"),
        ({"objective": "fixmach", "unlabeled_data": "x"}, "fixmatch"),
        (
            {"objective": "fixmatch", "unlabeled_data": "x", "epochs": 0},
            "--epochs=0",
        ),
        (
            {"task": "regression", "unlabeled_data": "x"},
            "no pseudo-labels; use ada_bn, feature_distillation, supervised",
        ),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_read(
    pictures, options, message
):
    with pytest.raises(errors.UsageError, match=message):
        tf_finetune.fine_tune(pictures, **options)


def test_a_pool_that_is_not_there_is_named(pictures, learn, tmp_path):
    with pytest.raises(errors.DataError, match="--unlabeled_data=nowhere"):
        learn(pictures, "nowhere", tmp_path / "run")
