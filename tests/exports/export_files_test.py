"""Tests of tf_finetune/exports/export_files.py."""

import json
import os
import re
import time
import zipfile

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from tf_finetune.backbones import build  # noqa: E402
from tf_finetune.config import model_options  # noqa: E402
from tf_finetune.exports import export_files  # noqa: E402
from tf_finetune.weights import loading  # noqa: E402

_NAMES = ("ants", "bées", os.fsdecode(b"caf\xe9"))
_DECISION = {"thresholds": {"ants": 0.25, "bées": 0.5}}


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("ants", b"ants"),
        ("ants\n", rb"ants\n"),
        ("a\r\nb", rb"a\r\nb"),
        ("a\u2028b", rb"a\u2028b"),
        ("na\u00efve", b"na\xc3\xafve"),
        (os.fsdecode(b"caf\xe9"), b"caf\xe9"),
        ("", b""),
    ],
)
def test_every_name_is_one_line(name, line):
    assert export_files.encode_labels([name, "bees"]) == line + b"\nbees\n"


@pytest.fixture(scope="module")
def path(tiny_model, tmp_path_factory):
    path = tmp_path_factory.mktemp("archive") / "model.keras"
    export_files.save_keras(tiny_model, path, _NAMES, _DECISION)
    return path


def test_the_file_holds_labels_whatever_their_bytes(path):
    with zipfile.ZipFile(path) as archive:
        labels = archive.read("labels.txt")

    assert labels == b"ants\nb\xc3\xa9es\ncaf\xe9\n"


def test_the_file_holds_what_was_decided(path):
    with zipfile.ZipFile(path) as archive:
        assert json.loads(archive.read("decision.json")) == _DECISION


def test_nothing_decided_leaves_no_member(tiny_model, tmp_path):
    path = tmp_path / "model.keras"
    export_files.save_keras(tiny_model, path, _NAMES)

    with zipfile.ZipFile(path) as archive:
        assert sorted(archive.namelist()) == [
            "config.json",
            "labels.txt",
            "metadata.json",
            "model.weights.h5",
        ]


def test_keras_loads_the_file_and_computes_exactly_the_same(path, tiny_model):
    loaded = keras.saving.load_model(path, safe_mode=True)

    images = np.random.default_rng(0).uniform(0, 255, (2, 24, 24, 3))
    np.testing.assert_array_equal(
        loaded.predict_on_batch(images), tiny_model.predict_on_batch(images)
    )


def _model(policy):
    """Returns the same network whenever it is asked, of objects of its own."""
    keras.utils.set_random_seed(0)
    halves = [keras.regularizers.L2(0.5) for _ in range(2)]
    images = x = keras.Input([3], name="images")
    for place, half in enumerate([0, 1, 0, 1]):
        x = keras.layers.Dense(
            2,
            name=f"dense_{place}",
            kernel_regularizer=halves[half],
            dtype=keras.DTypePolicy(policy),
        )(x)
    return keras.Model(images, x, name="model")


def test_equal_models_saved_at_another_time_give_equal_bytes(tmp_path):
    # Alive together, so that they lie in different places of memory.
    models = [_model("float32") for _ in range(2)]
    paths = [tmp_path / "1.keras", tmp_path / "2.keras"]
    export_files.save_keras(models[0], paths[0], ["a", "b"], _DECISION)
    time.sleep(2.1)  # Zip's dates are told in steps of two seconds.
    export_files.save_keras(models[1], paths[1], ["a", "b"], _DECISION)

    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_what_layers_share_keeps_being_told_apart(tmp_path):
    model = _model("float32")
    model.save(tmp_path / "plain.keras")
    export_files.save_keras(model, tmp_path / "ours.keras", ["a", "b"])

    plain, ours = (
        _shared(tmp_path / name) for name in ("plain.keras", "ours.keras")
    )
    assert [plain.index(each) for each in plain] == [
        ours.index(each) for each in ours
    ]
    assert sorted(set(ours)) == ["1", "2"]


def _shared(path):
    """Returns the numbers of shared objects in a file, in their order."""
    with zipfile.ZipFile(path) as archive:
        config = archive.read("config.json").decode()
    return re.findall(r'"shared_object_id": (\d+)', config)


def test_a_copy_of_the_weights_keeps_the_scaling_of_their_network(tmp_path):
    trained = build.build("small_cnn", image_size=16, preprocessing="caffe")
    chosen = model_options.ModelOptions(
        backbone="small_cnn", weights="cnn.pth", preprocessing="caffe"
    )
    copy = tmp_path / "copy.weights.h5"
    export_files.save_weights(trained.model, copy, chosen)
    again = build.build("small_cnn", image_size=16)
    loading.load(again, str(copy))
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 16, 16, 3))
    np.testing.assert_allclose(
        again.model(pixels), trained.model(pixels), rtol=1e-4, atol=1e-4
    )
