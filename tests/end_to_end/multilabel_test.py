"""Pictures with any number of labels, from a CSV file to a served model."""

import csv
import dataclasses
import json
import pathlib
import zipfile

import graph_optimizer
import keras
import numpy as np
import onnx
import pytest
import quiet
import tensorflow as tf
from PIL import Image
from scipy import special

import tf_finetune
from tf_finetune import errors, files
from tf_finetune.tasks.multilabel import certainty

_COLORS = ("red", "green", "blue")


@pytest.fixture(scope="module")
def run(color_table, train, tmp_path_factory):
    """A finished run whose network was fine-tuned."""
    with graph_optimizer.switched_on():
        return train(
            color_table,
            tmp_path_factory.mktemp("runs") / "run",
            task="multilabel",
            label_column=("colors",),
            loss="asymmetric",
            class_weight="balanced",
            cache="on",
        )[0]


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory) -> list[pathlib.Path]:
    """The run as a SavedModel and as a Keras file."""
    with graph_optimizer.switched_on():
        return quiet.export(
            run.workdir,
            "saved_model,keras",
            output=str(tmp_path_factory.mktemp("exports")),
        )


def _serve(exported, contents: list[bytes]) -> dict[str, np.ndarray]:
    serve = tf.saved_model.load(str(exported[0])).signatures["serving_default"]
    found = serve(image_bytes=tf.constant(contents))
    return {name: each.numpy() for name, each in found.items()}


def _rows(path: pathlib.Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _bounds(run) -> np.ndarray:
    decided = files.read_json(run.workdir / "evaluation.json")["decision"]
    return np.array([decided["thresholds"][name] for name in run.class_names])


@pytest.mark.quick
def test_colors_are_learned_and_every_figure_is_there(run):
    assert run.class_names == ("blue", "green", "red")
    assert run.evaluation["test"]["macro_average_precision"] > 0.95
    assert run.evaluation["test"]["macro_f1"] > 0.9
    for split in ("train", "validation", "test"):
        figures = run.evaluation[split]
        assert set(figures["per_label"]) == set(_COLORS)
        assert set(figures["baselines"]) == {"label_shares", "probe"}
        assert (run.workdir / f"labels_{split}.png").stat().st_size > 0
    assert [row["stage"] for row in run.history] == ["fine_tune"] * 2
    assert "val_average_precision" in run.history[0]
    assert files.read_json(run.workdir / "evaluation.json") == run.evaluation


def test_thresholds_are_decided_on_validation_and_used_everywhere(run):
    bounds = _bounds(run)
    for split in ("train", "validation", "test"):
        rows = run.evaluation[split]["per_label"]
        used = [rows[name]["threshold"] for name in run.class_names]
        np.testing.assert_array_equal(used, bounds)


def test_every_split_has_its_share_of_every_label(run):
    data = files.read_json(run.workdir / "data.json")
    pictures = data["images"]
    for split, count in pictures.items():
        for name in _COLORS:
            share = count / sum(pictures.values())
            expected = share * 36
            assert abs(data["labels"][split][name] - expected) < 2
    assert sum(data["without_labels"].values()) == 9


def test_evaluating_again_gives_the_same_figures(run, settings, tmp_path):
    again = quiet.evaluate(
        run.workdir,
        output=str(tmp_path / "again.json"),
        cache_dir=settings["cache_dir"],
    )
    for split in ("train", "validation", "test"):
        before = run.evaluation[split]
        assert again[split].keys() == before.keys()
        for name in (
            "macro_average_precision", "macro_f1", "micro_roc_auc",
            "exact_match", "hamming_loss", "log_loss",
        ):  # fmt: skip
            assert again[split][name] == pytest.approx(before[name], abs=1e-5)


def test_what_is_predicted_is_what_was_evaluated(run, color_table, tmp_path):
    found = quiet.predict(
        run.workdir,
        color_table.parent,
        output=str(tmp_path / "x.csv"),
    )
    labels_of = {pathlib.Path(row.path).name: set(row.labels) for row in found}
    for row in _rows(run.workdir / "predictions.csv"):
        name = pathlib.Path(row["path"]).name
        assert labels_of[name] == set(filter(None, row["labels"].split("|")))
    written = _rows(tmp_path / "x.csv")
    assert list(written[0]) == ["path", "labels", "probabilities", "error"]
    assert [row["labels"].split("|") for row in written if row["labels"]] == [
        list(row.labels) for row in found if row.labels
    ]


def test_keras_files_hold_labels_and_thresholds(run, exported):
    decided = files.read_json(run.workdir / "evaluation.json")["decision"]
    for path in (run.workdir / "model.keras", exported[1]):
        with zipfile.ZipFile(path) as archive:
            labels = archive.read("labels.txt").decode().splitlines()
            assert json.loads(archive.read("decision.json")) == decided
        assert tuple(labels) == run.class_names


def test_exports_give_equal_numbers_and_the_same_labels(
    run, color_table, exported
):
    rows = quiet.predict(run.workdir, color_table.parent)[:20]
    paths = [pathlib.Path(row.path) for row in rows]
    expected = np.array([list(row.probabilities.values()) for row in rows])
    got = _serve(exported, [path.read_bytes() for path in paths])
    np.testing.assert_allclose(got["probabilities"], expected, atol=1e-5)
    np.testing.assert_array_equal(got["given"], expected >= _bounds(run))
    assert [each.decode() for each in got["labels"]] == [
        "|".join(sorted(row.labels)) for row in rows
    ]
    again = keras.saving.load_model(exported[1])
    images = np.stack([np.array(Image.open(p).resize([32, 32])) for p in paths])
    np.testing.assert_allclose(
        again.predict(images.astype("float32"), verbose=0),
        run.model.predict(images.astype("float32"), verbose=0),
        atol=1e-6,
    )


def test_the_server_answers_what_predict_says(
    run, color_table, exported, talk, damage
):
    said = quiet.predict(run.workdir, color_table.parent)[8:14]
    paths = [each.path for each in said]
    expected = np.array([list(each.probabilities.values()) for each in said])
    server = talk(exported[0])
    rows = server.alike([damage(paths[0]), *paths])
    got = np.array([row["probabilities"] for row in rows])
    np.testing.assert_allclose(got[1:], expected, rtol=0, atol=1e-5)
    assert [set(row["labels"].split("|")) - {""} for row in rows[1:]] == [
        set(each.labels) for each in said
    ]
    assert [bool(row["error"]) for row in rows] == [True] + [False] * 6
    assert not got[0].any() and not any(rows[0]["given"])
    classified = server.alike([damage(paths[0]), *paths], "--method=classify")
    assert [[tuple(pair) for pair in row] for row in classified] == [
        [("", 0.0)] * 3,
        *(list(zip(run.class_names, row["probabilities"], strict=True))
          for row in rows[1:]),
    ]  # fmt: skip
    server.check_what_lies_beside(run.class_names)


def test_a_picture_that_is_none_is_given_no_label(exported):
    got = _serve(exported, [b"no picture"])
    assert got["labels"].tolist() == [b""]
    assert not got["given"].any()
    assert got["error"][0]


def test_a_calibrated_export_gives_the_same_labels(
    run, color_table, exported, tmp_path, monkeypatch
):
    # The run makes no mistake, of which a temperature could be learned.
    real = certainty.fit_temperature
    monkeypatch.setattr(
        certainty,
        "fit_temperature",
        lambda *pairs: dataclasses.replace(real(*pairs), temperature=3.0),
    )
    version, file = quiet.export(
        run.workdir,
        "saved_model,onnx",
        calibrate=True,
        cache_dir=str(tmp_path / "cache"),
        out_of_distribution=True,
        output=str(tmp_path / "exports"),
    )
    record = files.read_json(version.parent / "parity.json")
    found = record["1"]["temperature"]
    assert found["log_loss"][0] == pytest.approx(
        run.evaluation["validation"]["log_loss"], rel=1e-4
    )
    assert found["temperature"] == 3.0
    contents = [path.read_bytes() for path in color_table.parent.glob("*.png")]
    before, after = _serve(exported, contents), _serve([version], contents)
    np.testing.assert_array_equal(after["labels"], before["labels"])
    logits = special.logit(before["probabilities"].astype("float64"))
    np.testing.assert_allclose(
        after["probabilities"],
        special.expit(logits / 3),
        atol=1e-4,
    )
    expected = -np.logaddexp(0, logits).sum(axis=1)
    # Below 1 a float32 is rounded by up to 2^-24, its logit by that / (1 - p).
    certain = 1.0 - before["probabilities"].astype("float64")
    rounding = (2.0**-24 / np.maximum(certain, 2.0**-24)).sum(axis=1)
    difference = np.abs(after["ood_score"] - expected)
    assert (difference <= 1e-3 * np.abs(expected) + rounding).all()
    held = {e.key: e.value for e in onnx.load(file).metadata_props}
    assert json.loads(held["decision"]) == found["decision"]
    assert record["model.onnx"]["temperature"] == found
    bounds = [found["decision"]["thresholds"][n] for n in run.class_names]
    np.testing.assert_array_equal(
        after["probabilities"] >= np.array(bounds, "float32"), before["given"]
    )
    assert not np.allclose(bounds, _bounds(run), atol=1e-3)


def test_a_loss_of_another_task_is_refused_in_words(color_table):
    with pytest.raises(errors.UsageError, match="asymmetric"):
        tf_finetune.fine_tune(
            color_table, task="multilabel", loss="mean_squared_error"
        )


def test_a_folder_holds_no_labels_of_this_kind(pictures):
    with pytest.raises(errors.UsageError, match="csv"):
        tf_finetune.fine_tune(pictures, task="multilabel")
