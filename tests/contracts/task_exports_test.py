"""Every format proves itself for every task, and its file says what it is."""

import csv
import json
import pathlib
import zipfile

import numpy as np
import pytest
import quiet
from PIL import Image

pytest.importorskip("ai_edge_litert")
pytest.importorskip("onnxruntime")
pytest.importorskip("tensorflow")

import keras
import onnxruntime
import tensorflow as tf
from ai_edge_litert import interpreter as interpreters
from documents import documented_commands

from tf_finetune import files
from tf_finetune.config import command_configs, picture_options
from tf_finetune.data.images import decoding
from tf_finetune.exports import catalog
from tf_finetune.runs import parity_record
from tf_finetune.runs.finished import finished_run, run_export
from tf_finetune.tasks import catalog as tasks

pytestmark = pytest.mark.slow

# What starts TensorFlow to prove itself takes long. Every task is asked for its
# SavedModel in tests/end_to_end, those that are missing here for their .keras
# file too, and a softmax and a sigmoid are the same to Keras.
_WITH_TENSORFLOW = ("h5", "keras", "saved_model", "whole_h5")
# What is in few bits is asked of a softmax, of numbers and of masks; the
# sigmoid's file differs from the softmax' in nothing but its last operation.
_IN_CAMPAIGN = {
    ("multilabel", "litert_float16"),
    ("multilabel", "litert_dynamic"),
    ("regression", "litert_dynamic"),
}
# For networks of torchvision, which small_cnn is not: see
# tests/exports/torch_file_test.py.
_FOR_OTHER_NETWORKS = ("torch",)
_ASKED = {
    "classification": ("h5",),
    "regression": ("h5", "keras", "whole_h5"),
    "segmentation": ("h5", "whole_h5"),
}

_SETTINGS = {
    "classification": {"label_column": "color"},
    "multilabel": {"label_column": "things"},
    "regression": {
        "label_column": ("price", "rooms"),
        "target_transform": "none",
    },
    "segmentation": {
        "label_column": "mask",
        "head": "fcn_8s",
        "head_units": 16,
        "head_epochs": 8,
        "batch_size": 8,
    },
}
_LABELS = {
    "classification": ["blue", "red"],
    "multilabel": ["box", "warm"],
    "regression": ["price", "rooms"],
    "segmentation": ["ground", "box"],
}
# Of a prediction on one picture; of a regression, of the target's range.
_ALLOWED = {"litert_float16": 0.1, "litert_dynamic": 0.3, "litert_int8": 0.4}
_EXACT = 1e-3
_UNITS = {"regression": [4e3 * 150, 3]}
_OUTPUTS = {"regression": "values"}
# By what is decided, not by the largest difference.
_IN_FEW_BITS = ("litert_dynamic", "litert_int8")
_JUDGED = {"segmentation": ("litert_float16", *_IN_FEW_BITS)}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A hundred pictures of a box, which all four tasks look at."""
    folder = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(0)
    rows = []
    for number in range(100):
        pixels = generator.integers(0, 60, [40, 48, 3]).astype("uint8")
        mask = np.zeros([40, 48], "uint8")
        is_red, has_box = number % 2, number % 3 > 0
        light = int(generator.integers(40, 190))
        pixels[..., 0 if is_red else 2] += np.uint8(light)
        if has_box:
            top, left = generator.integers(0, 20, 2)
            mask[top : top + 18, left : left + 24] = 1
            pixels[mask > 0] = [20, 230, 20]
        Image.fromarray(pixels).save(folder / f"{number}.png")
        Image.fromarray(mask).save(folder / f"{number}_mask.png")
        things = [*(["warm"] * is_red), *(["box"] * has_box)]
        # More than float16 holds, beside few rooms.
        price, rooms = 9e5 + 4e3 * light, 1 + 2 * is_red + light / 190
        files_ = f"{number}.png", f"{number}_mask.png"
        color = "red" if is_red else "blue"
        rows.append((*files_, color, "|".join(things), price, rooms))
    with open(folder / "t.csv", "w", newline="") as file:
        writer = csv.writer(file)
        header = ("image", "mask", "color", "things", "price", "rooms")
        writer.writerows([header, *rows])
    (folder / "classes.json").write_text('["ground", "box"]')
    return folder / "t.csv"


@pytest.fixture(scope="module")
def held():
    """The runs that were asked for, by their tasks."""
    return {}


@pytest.fixture
def run(request, table, held, tmp_path_factory):
    """A finished run on small pictures, one a task."""
    task = request.param
    if task not in held:
        place = tmp_path_factory.mktemp(task)
        quiet.fine_tune(
            table,
            task=task,
            backbone="small_cnn",
            weights="digits",
            image_size=32,
            trainable="head",
            seed=0,
            cache_dir=str(table.parent / "cache"),
            workdir=str(place / "run"),
            **_SETTINGS[task],
            recipe="none",
        )
        held[task] = finished_run.load_finished(str(place / "run"))
    return held[task]


def _asked():
    return [
        pytest.param(
            task,
            form,
            marks=[pytest.mark.campaign] * ((task, form) in _IN_CAMPAIGN),
        )
        for task in tasks.TASKS.names()
        for form in catalog.EXPORTS.names()
        if form not in _FOR_OTHER_NETWORKS
        if form not in _WITH_TENSORFLOW or form in _ASKED.get(task, ())
    ]


@pytest.mark.parametrize(("run", "form"), _asked(), indirect=["run"])
def test_every_format_is_proven_for_every_task(run, form, tmp_path):
    config = command_configs.ExportConfig(
        workdir=str(run.place.path), format=(form,), output=str(tmp_path)
    )
    (path,) = run_export.export_run(run, config, report=lambda text: None)

    record = files.read_json(tmp_path / "parity.json")[path.name]
    is_judged = form in _JUDGED.get(run.task.name, _IN_FEW_BITS)
    assert record["pictures"] > 3
    assert isinstance(record["tolerance"], dict) == is_judged
    read = {".tflite": _of_litert, ".onnx": _of_onnx}.get(path.suffix)
    if read is not None:
        _check(run, form, *read(path, _pixels(run)))
    if path.suffix == ".tflite":
        kept = parity_record.read_record(run.place)
        answer = _as_documented(path, kept.paths[0])
        assert answer.shape == kept.predictions[:1].shape
        assert answer.dtype == np.float32


def _served():
    """Lists the tasks; to the converters a sigmoid is another softmax."""
    for task in tasks.TASKS.names():
        marks = [pytest.mark.campaign] * (task == "multilabel")
        yield pytest.param(task, marks=marks)


@pytest.mark.parametrize("run", _served(), indirect=True)
def test_a_saved_model_of_every_task_is_read_by_others(run, tmp_path):
    config = command_configs.ExportConfig(
        workdir=str(run.place.path), output=str(tmp_path)
    )
    (path,) = run_export.export_run(run, config, report=lambda text: None)
    kept = parity_record.read_record(run.place)
    images, expected = _pixels(run), kept.predictions[:1]
    output = _OUTPUTS.get(run.task.name, "probabilities")

    loaded = tf.saved_model.load(str(path))
    assert loaded.variables
    serve = loaded.signatures["serve_array"]
    layer = keras.layers.TFSMLayer(str(path), call_endpoint="serve_array")
    assert len(layer.weights) == len(loaded.variables)
    answers = [layer(images)[output]]
    for converter in (
        tf.lite.TFLiteConverter.from_saved_model(
            str(path), signature_keys=["serve_array"]
        ),
        tf.lite.TFLiteConverter.from_concrete_functions([serve], loaded),
    ):
        interpreter = tf.lite.Interpreter(model_content=converter.convert())
        ask = interpreter.get_signature_runner()
        answers.append(ask(images=images)[output])
    for got in answers:
        assert got.shape == expected.shape
        difference = np.abs(got - expected) / _UNITS.get(run.task.name, 1)
        assert difference.max() < 1e-4


def _as_documented(path: pathlib.Path, picture: str) -> np.ndarray:
    """Returns what the documents' lines for LiteRT say of a picture."""
    page = (documented_commands.ROOT / "docs" / "exports.md").read_text("utf-8")
    blocks = documented_commands.blocks(page, "python")
    (code,) = [each for each in blocks if "model.tflite" in each]
    code = code.replace("runs/ants/export/model.tflite", str(path))
    found = {}
    exec(code.replace("bee.jpg", picture), found)
    return found["answer"]


def _check(run, form, predictions, told):
    """Compares what a file says of a picture, and of itself, with the run."""
    task, labels = run.task.name, list(run.class_names)
    assert sorted(labels) == sorted(_LABELS[task])
    assert told["labels"] == labels
    assert told["decision"] == dict(run.task.decision)
    assert bool(told["decision"]) == (task == "multilabel")
    assert told["output"] == _OUTPUTS.get(task, "probabilities")
    expected = parity_record.read_record(run.place).predictions[:1]
    assert predictions.shape == expected.shape
    difference = np.abs(predictions - expected) / _UNITS.get(task, 1)
    # Of a thousand pixels some are at the edge of two classes.
    is_rounded_map = form in _JUDGED.get(task, ())
    found = difference.mean() if is_rounded_map else difference.max()
    assert found < _ALLOWED.get(form, _EXACT)


def _pixels(run):
    """Returns the first proven picture, [1, size, size, 3]."""
    picture = decoding.load_file(
        parity_record.read_record(run.place).paths[0],
        picture_options.Square(run.image_size),
    )
    return np.asarray(picture)[np.newaxis]


def _of_litert(path: pathlib.Path, images):
    interpreter = interpreters.Interpreter(model_path=str(path))
    (source,) = interpreter.get_input_details()
    (target,) = interpreter.get_output_details()
    is_int8 = path.name == "model_int8.tflite"
    assert source["dtype"] == (np.uint8 if is_int8 else np.float32)
    signature = interpreter.get_signature_list()["serving_default"]
    (output,) = signature["outputs"]
    run = interpreter.get_signature_runner()
    pixels = np.rint(images).astype(source["dtype"]) if is_int8 else images
    answer = run(images=pixels)[output]
    if answer.dtype == np.uint8:
        scale, zero = target["quantization"]
        answer = (answer.astype("float32") - zero) * scale
    with zipfile.ZipFile(path) as archive:
        kept = {name: archive.read(name) for name in archive.namelist()}
    return answer, {
        "output": output,
        "labels": kept["labels.txt"].decode().split("\n")[:-1],
        "decision": json.loads(kept.get("decision.json", b"{}")),
    }


def _of_onnx(path: pathlib.Path, images):
    session = onnxruntime.InferenceSession(str(path))
    (target,) = session.get_outputs()
    (answer,) = session.run(None, {"images": images})
    kept = session.get_modelmeta().custom_metadata_map
    return answer, {
        "output": target.name,
        "labels": json.loads(kept["labels"]),
        "decision": json.loads(kept.get("decision", "{}")),
    }
