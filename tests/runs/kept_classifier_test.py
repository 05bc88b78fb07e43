"""Tests of tf_finetune/runs/kept_classifier.py."""

import keras
import numpy as np
import pytest
from PIL import Image

import tf_finetune as tff
from tf_finetune import errors
from tf_finetune.backbones import build

_NAMES = ("bright", "dark", "neither")


@pytest.fixture(scope="module")
def network():
    """A network with a classifier of three classes."""
    keras.utils.set_random_seed(0)
    backbone = build.build("small_cnn", image_size=32).model
    x = keras.layers.GlobalAveragePooling2D()(backbone.output)
    x = keras.layers.Dense(3, activation="softmax", name="classes")(x)
    return keras.Model(backbone.input, x)


@pytest.fixture(scope="module")
def settings(network, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    network.save(folder / "whole.keras")
    (folder / "names.txt").write_text("\n".join(_NAMES) + "\n")
    return {
        "keep_classifier": True,
        "backbone": "small_cnn",
        "weights": str(folder / "whole.keras"),
        "class_names": str(folder / "names.txt"),
        "report": lambda text: None,
    }


@pytest.fixture(scope="module")
def kept(settings, picture_folder, tmp_path_factory):
    """A run of that network, with pictures to check exports on."""
    workdir = tmp_path_factory.mktemp("kept") / "run"
    return tff.fine_tune(picture_folder, workdir=str(workdir), **settings)


def test_predictions_are_those_of_the_file(kept, network, picture_folder):
    paths = sorted((picture_folder / "dark").glob("*.png"))
    pixels = np.stack([np.asarray(Image.open(path)) for path in paths])
    expected = network.predict(pixels.astype("float32"), verbose=0)
    rows = kept.predict(picture_folder / "dark", report=lambda text: None)
    for row, probabilities in zip(rows, expected, strict=True):
        assert row.class_name == _NAMES[probabilities.argmax()]
        assert row.probability == pytest.approx(probabilities.max(), abs=1e-5)


def test_it_is_a_finished_run(kept):
    opened = tff.load_run(kept.workdir)
    assert opened.class_names == _NAMES
    assert opened.evaluation["kept"] == "classifier"
    assert repr(opened) == f"Run({str(kept.workdir)!r})"
    flags = (kept.workdir / "run.flags").read_text()
    assert "--keep_classifier=True" in flags


def test_other_pictures_of_its_classes_are_evaluated(kept, picture_folder):
    figures = kept.evaluate(picture_folder, report=lambda text: None)
    assert figures["test"]["examples"] == 30
    # A baseline would rest on training pictures.
    assert figures["test"]["baselines"] == {}


def test_without_pictures_of_its_own_it_says_so(kept):
    with pytest.raises(errors.UsageError, match="no labeled pictures"):
        kept.evaluate(report=lambda text: None)


def test_an_export_is_checked_on_the_pictures_given(kept):
    (path,) = kept.export("keras", report=lambda text: None)
    assert path.is_file()


def test_made_without_pictures_it_predicts_but_cannot_be_exported(
    settings, picture_folder, tmp_path
):
    found = tff.fine_tune("", workdir=str(tmp_path / "run"), **settings)
    rows = found.predict(picture_folder / "dark", report=lambda text: None)
    assert len(rows) == 15
    with pytest.raises(errors.UsageError, match="made without pictures"):
        found.export("keras", report=lambda text: None)


def test_a_name_too_many_is_told(settings, tmp_path):
    (tmp_path / "names.txt").write_text("a\nb\nc\nd\n")
    other = {**settings, "class_names": str(tmp_path / "names.txt")}
    with pytest.raises(errors.UsageError, match="of 3 classes.*4 names"):
        tff.fine_tune("", workdir=str(tmp_path / "run"), **other)
    assert not (tmp_path / "run" / "run.json").exists()
