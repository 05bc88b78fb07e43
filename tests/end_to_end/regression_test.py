"""Numbers from pictures, and from whole rows: from a table to exports."""

import base64
import csv
import json
import pathlib
import urllib.request

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tf_finetune
from tf_finetune import errors, files

_ROWS = 40
_VIEWS = ("front", "back")


def _quiet(text: str) -> None:
    del text


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> pathlib.Path:
    """Rows whose price is told by a colour, an area and a place together."""
    folder = tmp_path_factory.mktemp("houses")
    generator = np.random.default_rng(0)
    rows = []
    for number in range(_ROWS):
        red = int(generator.integers(0, 130))
        names = [f"{number}_{view}.png" for view in _VIEWS]
        for name, shade in zip(names, (red, 0), strict=True):
            pixels = generator.integers(0, 120, [20, 24, 3], dtype="uint8")
            pixels[..., 0] += np.uint8(shade)
            Image.fromarray(pixels).save(folder / name)
        area = round(float(np.exp(generator.normal(5, 0.5))), 1)
        place = str(generator.choice(["94501", "94502", "93510"]))
        price = area * np.exp(red / 60) * (1.5 if place < "94" else 1)
        shown = "" if number == 7 else area
        rows.append((*names, shown, place, round(price, 2), round(red + 1, 2)))
    with open(folder / "t.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*_VIEWS, "area", "place", "price", "redness"])
        writer.writerows(rows)
    return folder / "t.csv"


@pytest.fixture(scope="module")
def settings(settings) -> dict:
    return {
        **settings,
        "task": "regression",
        "label_column": ("price",),
        "report": _quiet,
    }


@pytest.fixture(scope="module")
def plain(table, settings, tmp_path_factory):
    """A run on one picture a row and two targets."""
    return tf_finetune.fine_tune(
        table,
        workdir=str(tmp_path_factory.mktemp("runs") / "plain"),
        image_column="front",
        **{**settings, "label_column": ("redness", "price"), "epochs": 1},
    )


@pytest.fixture(scope="module")
def rows(table, settings, tmp_path_factory):
    """A run on whole rows."""
    return tf_finetune.fine_tune(
        table,
        workdir=str(tmp_path_factory.mktemp("runs") / "rows"),
        image_column=_VIEWS,
        numeric_columns=("area",),
        categorical_columns=("place", "place:2"),
        **{**settings, "epochs": 0},
    )


def _paths(table: pathlib.Path) -> list[str]:
    return [str(table.parent / f"{n}_front.png") for n in range(_ROWS)]


def test_a_number_is_learnt_in_the_users_units(plain):
    figures = plain.evaluation["test"]
    assert figures["per_target"]["redness"]["r2"] > 0.8
    assert set(figures["yardsticks"]) == {
        "training_mean",
        "training_median",
        "probe",
    }
    assert (plain.workdir / "scatter_test.png").exists()
    description = files.read_json(plain.workdir / "data.json")["targets"]
    assert description["train"]["redness"]["max"] > 100


def test_what_a_run_says_is_what_its_files_and_exports_say(
    plain, table, settings, tmp_path
):
    paths = _paths(table)
    said = tf_finetune.predict(plain.workdir, table.parent, report=_quiet)
    values = {row.path: list(row.values.values()) for row in said if row.values}
    expected = np.array([values[path] for path in paths])
    (exported,) = tf_finetune.export(
        plain.workdir, output=str(tmp_path / "out"), report=_quiet
    )
    served = tf.saved_model.load(str(exported)).signatures["serving_default"]
    contents = tf.constant([pathlib.Path(path).read_bytes() for path in paths])
    got = served(contents)["values"].numpy()
    np.testing.assert_allclose(got, expected, rtol=1e-4)
    again = tf_finetune.evaluate(
        plain.workdir, cache_dir=settings["cache_dir"], report=_quiet
    )
    for split in ("train", "validation", "test"):
        assert again[split]["r2"] == pytest.approx(
            plain.evaluation[split]["r2"], rel=1e-5
        )


def test_rows_are_better_than_their_parts(rows):
    found = rows.evaluation
    assert found["fusion"]["kept"] == "stack"
    beside = found["validation"]["yardsticks"]
    merit = found["validation"]["log_r2"]
    for part in ("pictures", "columns", "network", "stack"):
        assert merit >= beside[part]["log_r2"]
    assert found["test"]["log_r2"] > beside["columns"]["log_r2"]
    assert found["fusion"]["parts"]["front"]["weights"][0] > 0
    assert sum(found["fusion"]["rows"].values()) == _ROWS
    with open(rows.workdir / "predictions.csv", newline="") as file:
        held_out = list(csv.DictReader(file))
    assert len(held_out) == _ROWS - found["fusion"]["rows"]["train"]


def test_rows_are_evaluated_predicted_exported_and_reloaded_alike(
    rows, table, settings, tmp_path
):
    again = tf_finetune.evaluate(
        rows.workdir, cache_dir=settings["cache_dir"], report=_quiet
    )
    for split in ("train", "validation", "test"):
        assert again[split]["mae"] == pytest.approx(
            rows.evaluation[split]["mae"], rel=1e-5
        )
    said = tf_finetune.predict(rows.workdir, table, report=_quiet)
    expected = np.array([[row.values["price"]] for row in said])
    assert [row.path for row in said] == _paths(table)
    exported, copied = tf_finetune.export(
        rows.workdir,
        ("saved_model", "keras"),
        output=str(tmp_path / "out"),
        report=_quiet,
    )
    inputs = _inputs(table)
    served = tf.saved_model.load(str(exported)).signatures["serving_default"]
    answer = served(**{name: tf.constant(e) for name, e in inputs.items()})
    assert not any(answer["error"].numpy())
    np.testing.assert_allclose(answer["values"], expected, rtol=1e-4)
    assert isinstance(
        keras.saving.load_model(copied, safe_mode=True), keras.Model
    )


def _inputs(table: pathlib.Path) -> dict:
    with open(table, newline="") as file:
        read = list(csv.DictReader(file))
    return {
        "image_bytes": [
            [(table.parent / row[view]).read_bytes() for view in _VIEWS]
            for row in read
        ],
        "numbers": [[float(row["area"] or "nan")] for row in read],
        "words": [[row["place"]] for row in read],
    }


def test_a_row_with_a_bad_picture_is_told_and_others_go_on(
    rows, table, tmp_path
):
    text = table.read_text().splitlines()
    folder = table.parent
    lines = [
        text[0],
        *(f"{folder}/{line.split(',')[0]},{folder}/{line.split(',', 1)[1]}"
          for line in text[1:4]),
    ]  # fmt: skip
    lines[2] = lines[2].replace("1_back.png", "gone.png")
    (tmp_path / "new.csv").write_text("\n".join(lines) + "\n")
    said = tf_finetune.predict(
        rows.workdir, tmp_path / "new.csv", report=_quiet
    )
    assert [bool(row.error) for row in said] == [False, True, False]
    assert "gone.png: file not found" in said[1].error


@pytest.mark.slow
def test_the_server_answers_predict_and_regress(table, settings, tmp_path):
    run = tf_finetune.fine_tune(
        table,
        workdir=str(tmp_path / "one"),
        image_column="front",
        **{**settings, "epochs": 0},
    )
    tf_finetune.export(run.workdir, report=_quiet)
    paths = _paths(table)[:5]
    said = tf_finetune.predict(run.workdir, table.parent, report=_quiet)
    prices = {each.path: each.values["price"] for each in said if each.values}
    expected = [prices[path] for path in paths]
    pictures = [
        {"b64": base64.b64encode(pathlib.Path(path).read_bytes()).decode()}
        for path in paths
    ]
    examples = [{"image_bytes": each} for each in pictures]
    with tf_finetune.start_server(
        run.workdir, port=0, grpc_port=None, report=_quiet
    ) as server:
        rows = _ask(server, "predict", {"instances": pictures})["predictions"]
        asked = {"signature_name": "regress", "examples": examples}
        numbers = _ask(server, "regress", asked)["results"]
    assert not any(row["error"] for row in rows)
    values = [row["values"] for row in rows]
    np.testing.assert_allclose(np.ravel(values), expected, rtol=1e-4)
    np.testing.assert_allclose(numbers, expected, rtol=1e-4)


def _ask(server, verb: str, document: dict) -> dict:
    request = urllib.request.Request(
        f"{server.address}:{verb}", json.dumps(document).encode()
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"loss": "focal"}, "--loss of --task=regression"),
        ({"target_range": (5, 1)}, "--target_range"),
        ({"task": "classification", "numeric_columns": "area"}, "--numeric_c"),
        ({"task": "classification", "image_column": "a,b"}, "--image_column"),
    ],
)
def test_what_does_not_fit_is_told_before_anything_is_read(changes, words):
    with pytest.raises(errors.UsageError, match=words):
        tf_finetune.fine_tune(
            "no.csv",
            **{
                "task": "regression",
                "backbone": "small_cnn",
                "weights": "none",
                **changes,
            },
        )


def test_exports_for_probabilities_are_refused(plain, rows):
    for keywords, words in (
        ({"calibrate": True}, "--calibrate is not for --task=regression"),
        ({"format": "litert_dynamic"}, "one softmax"),
        ({"format": "litert_int8"}, "one softmax"),
        ({"out_of_distribution": True}, "compare the features"),
    ):
        with pytest.raises(errors.UsageError, match=words):
            tf_finetune.export(plain.workdir, **keywords)
    with pytest.raises(errors.UsageError, match="one picture"):
        tf_finetune.export(rows.workdir, "onnx", report=_quiet)
