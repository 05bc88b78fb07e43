"""Runs that learn from a teacher."""

import json
import pathlib
import shutil

import numpy as np
import pytest
from scipy import special

from tf_finetune import errors, files
from tf_finetune.config import options, picture_options, train_config
from tf_finetune.data import pipeline
from tf_finetune.feature_cache import store as stores
from tf_finetune.runs import teacher as teachers
from tf_finetune.runs.finished import finished_run
from tf_finetune.tasks import catalog

_STUDENT = {"image_size": 24, "distill_temperature": 2.0, "cache": "on"}


@pytest.fixture(scope="module")
def teach(train):
    """Trains a student of the teacher in a folder."""
    return lambda pictures, teacher, place, **more: train(
        pictures, place, teacher=str(teacher), **{**_STUDENT, **more}
    )


def _record(run) -> dict:
    return files.read_json(run.workdir / "distillation.json")


def _cached_rows(settings) -> set[str]:
    folder = settings["cache_dir"] + "/features"
    return {str(path) for path in pathlib.Path(folder).glob("*/*.rows")}


@pytest.fixture(scope="module")
def probe(hard_pictures, train, tmp_path_factory):
    """A run whose kept model is its solved head: a teacher of 32 pixels."""
    return train(
        hard_pictures, tmp_path_factory.mktemp("probe") / "run", epochs=0
    )[0]


@pytest.fixture(scope="module")
def taught(hard_pictures, teach, probe, tmp_path_factory):
    """A student of 24 pixels, on cached activations; what it said."""
    place = tmp_path_factory.mktemp("taught") / "run"
    return teach(hard_pictures, probe.workdir, place)


def test_a_student_of_another_size_learns_from_a_run(taught, probe):
    run, said = taught
    assert "teacher: " in said
    assert "dist (--distill) at temperature 2" in said
    record = _record(run)
    assert record["teacher"]["image_size"] == 32
    assert record["distill"] == "dist"
    assert record["views"] == 4
    for split in ("validation", "test"):
        assert (
            record["teacher"]["figures"][split]["accuracy"]
            == probe.evaluation[split]["accuracy"]
        )
        assert (
            record["student"]["figures"][split]["accuracy"]
            == run.evaluation[split]["accuracy"]
        )
        assert 0 <= record["agreement"][split] <= 1
    held_out = record["teacher"]["out_of_fold"]
    assert held_out["pictures"] == run.evaluation["train"]["examples"]
    # Of pictures that its heads have not seen it is less sure.
    assert (
        held_out["figures"]["log_loss"] > probe.evaluation["train"]["log_loss"]
    )


def test_cached_logits_are_those_of_a_fresh_pass(taught, probe, settings):
    run, _ = taught
    key = _record(run)["teacher"]["fingerprint"]
    folder = f"{settings['cache_dir']}/features/{key}-float32"
    store = stores.Store(folder, width=3, dtype="float32")
    splits = files.read_json(run.workdir / "data.json")["split_of"]
    proof = files.read_json(run.workdir / "proof.json")
    picture = next(
        each for each in proof["pictures"] if splits[each["sha256"]] == "test"
    )
    (row,) = store.rows([picture["sha256"]]).all()
    (images,) = pipeline.build_evaluation_images(
        [picture["path"]], picture_options.Square(32), batch_size=1
    )
    found = finished_run.load_finished(str(probe.workdir))
    (fresh,) = np.asarray(found.model(images))
    np.testing.assert_allclose(special.softmax(row), fresh, atol=1e-5)


def test_another_run_computes_nothing_of_the_teacher_and_is_equal(
    taught, teach, probe, hard_pictures, settings, tmp_path
):
    before = _cached_rows(settings)
    run, _ = teach(hard_pictures, probe.workdir, tmp_path / "run")
    assert _cached_rows(settings) == before
    assert run.history == taught[0].history
    assert run.evaluation == taught[0].evaluation


def test_pictures_are_trained_on_in_the_views_of_the_cache(
    taught, probe, hard_pictures, teach, tmp_path
):
    place = tmp_path / "run"
    run, _ = teach(hard_pictures, probe.workdir, place, cache="off")
    for row, other in zip(run.history, taught[0].history, strict=True):
        assert row["loss"] == pytest.approx(other["loss"], rel=1e-3)


def test_unlabeled_pictures_are_learned_from_the_teacher_alone(
    hard_pictures, teach, probe, tmp_path
):
    run, said = teach(
        hard_pictures,
        probe.workdir,
        tmp_path / "run",
        unlabeled_data=str(hard_pictures),
        max_train_per_class=3,
        epochs=1,
        distill="kd",
    )
    facts = run.evaluation["unlabeled"]
    assert facts["objective"] == "distillation"
    assert facts["learned"] == facts["pool"]["used"] > 9
    assert "unlabeled pictures were learned from the teacher" in said
    assert {row["stage"] for row in run.history} == {
        "fine_tune",
        "distillation",
    }


def test_a_file_and_an_export_answer_as_their_run(run, exported):
    names = tuple(reversed(run.class_names))
    images = np.random.default_rng(0).uniform(0, 255, [3, 32, 32, 3])
    network = catalog.TASKS.get("classification").network
    found = []
    for teacher in (run.workdir, run.workdir / "model.keras", exported):
        config = options.from_keywords(
            train_config.TrainConfig, {"teacher": str(teacher)}
        )
        loaded = teachers.load_teacher(config, network, names, image_size=24)
        assert loaded.square.size == 32
        assert loaded.order == (2, 1, 0)
        (logits,) = loaded.compute_logits(images.astype("float32"))
        found.append(special.softmax(np.asarray(logits), axis=1))
    np.testing.assert_allclose(found[1], found[0], atol=1e-6)
    np.testing.assert_allclose(found[2], found[0], atol=1e-4)


def test_a_worse_teacher_is_reported_before_training(
    hard_pictures, teach, probe, tmp_path, caplog
):
    """A copy of the run, whose outputs have each other's names."""
    copy = shutil.copytree(probe.workdir, tmp_path / "copy")
    content = json.loads((copy / "data.json").read_text())
    first, *others = content["class_names"]
    content["class_names"] = [*others, first]
    (copy / "data.json").write_text(json.dumps(content))
    with caplog.at_level("WARNING"):
        teach(hard_pictures, copy, tmp_path / "run", epochs=1)
    assert "The teacher is worse than the student" in caplog.text


def test_other_classes_are_refused_before_training(
    hard_pictures, teach, probe, tmp_path
):
    two = shutil.copytree(hard_pictures, tmp_path / "two")
    shutil.rmtree(two / "red")
    with pytest.raises(errors.UsageError, match="only the teacher has"):
        teach(two, probe.workdir, tmp_path / "run")


def test_several_labels_are_learned_by_their_binary_divergences(
    color_table, train, teach, tmp_path
):
    own = {"task": "multilabel", "label_column": ("colors",), "epochs": 1}
    teacher, _ = train(
        color_table, tmp_path / "teacher", **{**own, "epochs": 0}
    )
    run, said = teach(color_table, teacher.workdir, tmp_path / "run", **own)
    assert "kd (--distill)" in said
    assert _record(run)["teacher"]["out_of_fold"]["folds"] == 5
    assert _record(run)["agreement"]["test"] > 0.5


def test_an_adapter_and_accumulation_learn_from_a_teacher(
    hard_pictures, teach, probe, tmp_path
):
    run, _ = teach(
        hard_pictures,
        probe.workdir,
        tmp_path / "run",
        adaptation="lora",
        gradient_accumulation_steps=2,
        precision="mixed_bfloat16",
    )
    assert all(np.isfinite(row["loss"]) for row in run.history)
    assert (run.workdir / "adapter.h5").exists()


@pytest.mark.campaign
@pytest.mark.parametrize("cache", ["off", "on"])
def test_a_run_stopped_at_its_teacher_goes_on_bit_equal(
    hard_pictures, probe, tmp_path, start_training, cache
):
    flags = {**_STUDENT, "data": hard_pictures, "teacher": probe.workdir}
    flags["cache"] = cache
    assert start_training("whole", **flags).wait(timeout=300).returncode == 0
    inner = tmp_path / "stopped" / "checkpoints"
    status, _ = start_training("stopped", **flags).end_when(
        lambda: any(inner.glob("*.checkpoint"))
    )
    assert status != 0
    assert start_training("stopped", **flags).wait(timeout=300).returncode == 0
    for name in ("history.csv", "predictions.csv", "distillation.json"):
        found, expected = (
            (tmp_path / place / name).read_text()
            for place in ("stopped", "whole")
        )
        assert found == expected
