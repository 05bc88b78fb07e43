"""Whole rows, from a table to a server: pictures, a number and words."""

import base64
import csv
import json
import pathlib
import re
import shutil
import urllib.error
import urllib.request

import keras
import numpy as np
import pytest
import quiet
import tensorflow as tf

import tf_finetune
from tf_finetune import errors, files

_ROWS = 40
_VIEWS = ("front", "back")


def _quiet(text: str) -> None:
    del text


@pytest.fixture(scope="module")
def run(table, train, tmp_path_factory):
    """A run on whole rows."""
    return train(
        table,
        tmp_path_factory.mktemp("runs") / "houses",
        image_column=_VIEWS,
        numeric_columns="area",
        categorical_columns=("place", "place:2"),
        task="regression",
        label_column="price",
        epochs=0,
    )[0]


@pytest.fixture(scope="module")
def exports(run, start, tmp_path_factory):
    """Two folders of exports by two processes, the first is the run's."""
    other = tmp_path_factory.mktemp("other") / "export"
    command = ["-m", "tf_finetune.export", f"--workdir={run.workdir}"]
    forks = [
        start([*command, *flags], other.parent)
        for flags in (["--format=saved_model,keras"], [f"--output={other}"])
    ]
    for fork in forks:
        done = fork.wait(timeout=300)
        assert done.returncode == 0, done.stderr
    return run.workdir / "export", other


@pytest.fixture(scope="module")
def asked(table, tmp_path_factory):
    """A table of seven rows, good and bad; what the first six hold."""
    folder = tmp_path_factory.mktemp("asked")
    (folder / "bad.png").write_bytes(b"this is no picture")
    with open(table, newline="") as file:
        read = list(csv.DictReader(file))[:7]
    for row in read:
        row |= {view: str(table.parent / row[view]) for view in _VIEWS}
    read[1]["area"] = ""
    read[2]["place"] = "nowhere"
    read[3]["back"] = str(folder / "bad.png")
    read[4] |= {"area": "", "place": ""}
    read[6]["back"] = "gone.png"
    with open(folder / "t.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, [*_VIEWS, "area", "place"])
        writer.writeheader()
        writer.writerows({n: row[n] for n in writer.fieldnames} for row in read)
    return folder / "t.csv", [
        {
            "image_bytes": [pathlib.Path(row[v]).read_bytes() for v in _VIEWS],
            "numbers": [float(row["area"] or "nan")],
            "words": [row["place"]],
        }
        for row in read[:6]
    ]


@pytest.fixture(scope="module")
def said(run, asked):
    """What `predict` says of that table."""
    return quiet.predict(run.workdir, asked[0])


@pytest.fixture(scope="module")
def expected(said):
    """The same of the first six, [6, 1]; 0 of the row with a bad picture."""
    prices = [0 if each.error else each.values["price"] for each in said[:6]]
    return np.array(prices)[:, None]


@pytest.fixture(scope="module")
def server(run, exports):
    """The address of the model over REST, and that of gRPC."""
    said = []
    with tf_finetune.start_server(
        run.workdir, port=0, grpc_port=0, report=said.append
    ) as started:
        found = re.search(r"gRPC: (\S+:\d+)", "\n".join(said))
        yield started.address, found and found[1]


def test_rows_are_better_than_their_parts(run):
    found = run.evaluation
    assert found["fusion"]["kept"] == "stack"
    beside = found["validation"]["baselines"]
    merit = found["validation"]["log_r2"]
    for part in ("pictures", "columns", "network", "stack"):
        assert merit >= beside[part]["log_r2"]
    assert found["test"]["log_r2"] > beside["columns"]["log_r2"]
    assert found["fusion"]["parts"]["front"]["weights"][0] > 0
    assert sum(found["fusion"]["rows"].values()) == _ROWS
    with open(run.workdir / "predictions.csv", newline="") as file:
        held_out = list(csv.DictReader(file))
    assert len(held_out) == _ROWS - found["fusion"]["rows"]["train"]


def test_rows_are_evaluated_as_in_training(run, settings):
    again = quiet.evaluate(run.workdir, cache_dir=settings["cache_dir"])
    for split in ("train", "validation", "test"):
        assert again[split]["mae"] == pytest.approx(
            run.evaluation[split]["mae"], rel=1e-5
        )
    # Keyed by place in the table, as the run itself told them.
    assert again["rows_left_out"] == run.evaluation["fusion"]["left_out"]


def test_a_table_is_predicted_row_by_row_and_bad_pictures_are_told(said, table):
    assert [each.path for each in said] == [
        str(table.parent / f"{number}_front.png") for number in range(7)
    ]
    faults = [each.error for each in said]
    assert [bool(fault) for fault in faults] == [i in (3, 6) for i in range(7)]
    assert "bad.png" in faults[3] and "gone.png: file not found" in faults[6]
    assert len({each.values["price"] for each in said if not each.error}) == 5


def test_two_processes_export_the_same_bytes(exports):
    first, second = map(_files, exports)
    # How large batches are is measured, and what is measured differs.
    for each in (first, second):
        each.pop("1/assets.extra/tf_serving_warmup_requests")
        each.pop("batching_parameters.txt")
        each.pop("parity.json")
    first.pop("model.keras")
    assert set(first) >= {"1/saved_model.pb", "model.config"}
    assert first == second


def _files(folder: pathlib.Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_batch_norm_of_the_network_within_is_folded(exports):
    figures = files.read_json(exports[0] / "parity.json")["1"]
    assert figures["batch_norms_folded"] > 5
    assert figures["serving_default"]["max_abs_difference"] <= 1e-5


def test_the_keras_file_loads_with_keras_alone(exports):
    path = exports[0] / "model.keras"
    model = keras.saving.load_model(path, safe_mode=True)
    assert [each.name for each in model.inputs] == [
        "images", "numbers", "words",
    ]  # fmt: skip


def test_rest_answers_rows_and_columns_as_predict_does(server, asked, expected):
    rows = [_json(row) for row in asked[1]]
    answer = _ask(server[0], "predict", {"instances": rows})["predictions"]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    whole = _ask(server[0], "predict", {"inputs": columns})["outputs"]
    for values, faults in (
        ([r["values"] for r in answer], [r["error"] for r in answer]),
        (whole["values"], whole["error"]),
    ):
        np.testing.assert_allclose(values, expected, rtol=1e-5)
        assert [bool(fault) for fault in faults] == [i == 3 for i in range(6)]
        assert faults[3].startswith("back: not a JPEG")


def test_rest_answers_regress_as_predict_does(server, asked, expected):
    document = {
        "signature_name": "regress",
        "examples": [_json(row) for row in asked[1]],
    }
    numbers = _ask(server[0], "regress", document)["results"]
    np.testing.assert_allclose(numbers, expected[:, 0], rtol=1e-5)


def test_null_is_no_missing_number_and_is_told(server, asked):
    row = {**_json(asked[1][0]), "numbers": [None]}
    with pytest.raises(urllib.error.HTTPError) as refused:
        _ask(server[0], "predict", {"instances": [row]})
    assert refused.value.code == 400
    assert "'numbers'" in json.load(refused.value)["error"]


def _json(row: dict) -> dict:
    pictures = [
        {"b64": base64.b64encode(each).decode()} for each in row["image_bytes"]
    ]
    return {**row, "image_bytes": pictures}


def _ask(address: str, verb: str, document: dict) -> dict:
    # Python writes what is missing as NaN, which is how it is to be sent.
    request = urllib.request.Request(
        f"{address}:{verb}", json.dumps(document).encode()
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


def test_grpc_answers_predict_and_regress_as_predict_does(
    server, asked, expected
):
    grpc = pytest.importorskip("grpc")
    pytest.importorskip("tensorflow_serving")
    from tensorflow_serving.apis import (
        predict_pb2,
        prediction_service_pb2_grpc,
        regression_pb2,
    )

    from tf_finetune.exports.parity import fresh_process
    from tf_finetune.exports.saved_model import served_inputs

    request = predict_pb2.PredictRequest()
    request.model_spec.name = "houses"
    columns = {name: [row[name] for row in asked[1]] for name in asked[1][0]}
    for name, values in columns.items():
        kind = tf.float32 if name == "numbers" else tf.string
        request.inputs[name].CopyFrom(tf.make_tensor_proto(values, kind))
    numbers = regression_pb2.RegressionRequest()
    numbers.model_spec.name = "houses"
    numbers.model_spec.signature_name = "regress"
    for row in asked[1]:
        features = {
            "image_bytes": fresh_process.make_string_array(row["image_bytes"]),
            "numbers": np.array(row["numbers"], "float32"),
            "words": fresh_process.make_string_array(
                [word.encode() for word in row["words"]]
            ),
        }
        numbers.input.example_list.examples.add().MergeFromString(
            served_inputs.encode_example(features)
        )
    with grpc.insecure_channel(server[1]) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        answer = stub.Predict(request, timeout=60)
        said = stub.Regress(numbers, timeout=60).result.regressions
    outputs = {name: tf.make_ndarray(e) for name, e in answer.outputs.items()}
    np.testing.assert_allclose(outputs["values"], expected, rtol=1e-5)
    assert [bool(each) for each in outputs["error"]] == [
        i == 3 for i in range(6)
    ]
    np.testing.assert_allclose(
        [each.value for each in said], expected[:, 0], rtol=1e-5
    )


def test_a_run_of_an_earlier_version_is_refused_in_a_sentence(run, tmp_path):
    old = shutil.copytree(run.workdir, tmp_path / "old")
    (old / "fusion.keras").rename(old / "fused.keras")
    with pytest.raises(errors.UsageError, match="an earlier version: fused"):
        quiet.predict(old, tmp_path)
    assert (old / "fused.keras").exists()


def test_the_page_is_told_the_columns(server):
    address = server[0].partition("/v1/")[0]
    with urllib.request.urlopen(address, timeout=60) as response:
        page = response.read().decode()
    assert "&quot;image_bytes&quot;: [&quot;front&quot;" in page
