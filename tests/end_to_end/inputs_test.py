"""Classes and labels of rows: pictures, a number and words, to a server."""

import base64
import csv
import json
import pathlib
import types
import urllib.request

import numpy as np
import pytest
import quiet

import tf_finetune
from tf_finetune import errors

_VIEWS = ("front", "back")
_ROWS = 40


def _quiet(text: str) -> None:
    del text


@pytest.fixture(scope="module")
def labeled(table) -> pathlib.Path:
    """The table of houses, with a class and labels in place of a price."""
    with open(table, newline="") as file:
        rows = list(csv.DictReader(file))
    median = np.median([float(row["price"]) for row in rows])
    for row in rows:
        row["kind"] = "dear" if float(row["price"]) > median else "cheap"
        tags = {
            "large": float(row["area"] or 150) > 150,
            "north": row["place"] < "94",
            "red": float(row["redness"]) > 65,
        }
        row["tags"] = "|".join(name for name, is_so in tags.items() if is_so)
    path = table.with_name("labeled.csv")
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture(scope="module", params=["classification", "multilabel"])
def made(request, labeled, train, tmp_path_factory):
    """A run on rows, its exports, and its predictions of a table."""
    folder = tmp_path_factory.mktemp(request.param)
    column = {"classification": "kind", "multilabel": "tags"}[request.param]
    run, _ = train(
        labeled,
        folder / "rows",
        image_column=_VIEWS,
        numeric_columns="area",
        categorical_columns=("place", "place:2"),
        task=request.param,
        label_column=column,
        epochs=0,
    )
    said = []
    paths = tf_finetune.export(
        run.workdir,
        ("saved_model", "keras"),
        out_of_distribution=True,
        report=said.append,
    )
    asked = _write_asked(labeled, folder)
    predicted = quiet.predict(run.workdir, asked)
    return types.SimpleNamespace(
        run=run, paths=paths, said=said, asked=asked, predicted=predicted
    )


def _write_asked(table: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """Writes five rows, the second without columns, the fourth damaged."""
    (folder / "bad.png").write_bytes(b"this is no picture")
    with open(table, newline="") as file:
        rows = list(csv.DictReader(file))[:5]
    for row in rows:
        row |= {view: str(table.parent / row[view]) for view in _VIEWS}
    rows[1] |= {"area": "", "place": "nowhere"}
    rows[3]["back"] = str(folder / "bad.png")
    names = [*_VIEWS, "area", "place"]
    with open(folder / "asked.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, names, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return folder / "asked.csv"


def _list_probabilities(made) -> list[list[float]]:
    """Returns what `predict` said; zeros of the row with a bad picture."""
    names, found = made.run.class_names, []
    for each in made.predicted:
        values = getattr(each, "probabilities", None)
        if values is None:
            values = dict(each.top_k)
        found.append([values.get(name, 0.0) for name in names])
    return found


def test_every_candidate_is_judged_and_the_parts_are_told(made):
    found = made.run.evaluation
    candidates = {"pictures", "columns", "stack", "network"}
    assert found["fusion"]["kept"] in candidates
    assert candidates <= set(found["validation"]["baselines"])
    assert sum(found["fusion"]["rows"].values()) == _ROWS
    weights = [each["weights"] for each in found["fusion"]["parts"].values()]
    # Of the network alone nothing is weighed.
    is_weighed = found["fusion"]["kept"] != "network"
    assert np.min(weights) >= 0 and (np.max(weights) > 0) == is_weighed
    losses = {
        name: found["test"]["baselines"][name]["log_loss"]
        for name in candidates
    }
    assert losses["stack"] < min(losses["pictures"], losses["columns"])
    with open(made.run.workdir / "predictions.csv", newline="") as file:
        held_out = len(list(csv.DictReader(file)))
    assert held_out == _ROWS - found["fusion"]["rows"]["train"]


def test_rows_are_evaluated_as_in_training(made, settings, labeled):
    again = quiet.evaluate(made.run.workdir, cache_dir=settings["cache_dir"])
    other = quiet.evaluate(
        made.run.workdir,
        labeled,
        cache_dir=settings["cache_dir"],
    )
    for split in ("train", "validation", "test"):
        expected = made.run.evaluation[split]["log_loss"]
        assert again[split]["log_loss"] == pytest.approx(expected, rel=1e-4)
    assert other["test"]["examples"] == _ROWS


def test_a_table_is_predicted_and_a_bad_picture_told(made):
    faults = [each.error for each in made.predicted]
    assert [bool(fault) for fault in faults] == [i == 3 for i in range(5)]
    assert "bad.png" in faults[3]
    with pytest.raises(errors.UsageError, match="rows of one, .* front"):
        tf_finetune.predict(made.run.workdir, made.asked.parent)


def test_exports_are_proven_and_other_formats_refused(made):
    assert [path.name for path in made.paths] == ["1", "model.keras"]
    assert "held-out rows" in "\n".join(made.said)
    for name in ("h5", "litert", "onnx", "whole_h5"):
        with pytest.raises(errors.UsageError, match="takes one picture"):
            tf_finetune.export(made.run.workdir, name)


def test_a_calibrated_export_is_proven_too(made, settings, tmp_path):
    (path,) = quiet.export(
        made.run.workdir,
        "saved_model",
        calibrate=True,
        cache_dir=settings["cache_dir"],
        output=str(tmp_path / "calibrated"),
    )
    figures = json.loads((path.parent / "parity.json").read_text())["1"]
    assert figures["temperature"]["temperature"] > 0


def test_a_server_answers_rows_and_its_page_has_their_fields(made):
    with open(made.asked, newline="") as file:
        rows = [_encode_row(row) for row in csv.DictReader(file)]
    with tf_finetune.start_server(
        made.run.workdir, port=0, report=_quiet
    ) as server:
        answers = _ask(server.address, "predict", {"instances": rows})
        found = answers["predictions"]
        document = {"signature_name": "classify", "examples": rows}
        classified = _ask(server.address, "classify", document)
        page_address = server.address.partition("/v1/")[0]
        with urllib.request.urlopen(page_address, timeout=60) as response:
            page = response.read().decode()
    expected = _list_probabilities(made)
    got = [each["probabilities"] for each in found]
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert found[3]["error"].startswith("back: not a JPEG")
    assert all("ood_score" in each for each in found)
    scores = [[value for _, value in row] for row in classified["results"]]
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    for field in ("image_bytes", "numbers", "words"):
        assert f"&quot;{field}&quot;: [" in page


def _encode_row(row: dict) -> dict:
    pictures = [pathlib.Path(row[view]).read_bytes() for view in _VIEWS]
    return {
        "image_bytes": [
            {"b64": base64.b64encode(each).decode()} for each in pictures
        ],
        "numbers": [float(row["area"] or "nan")],
        "words": [row["place"]],
    }


def _ask(address: str, verb: str, document: dict) -> dict:
    request = urllib.request.Request(
        f"{address}:{verb}", json.dumps(document).encode()
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)
