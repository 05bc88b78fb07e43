"""What is said of --format before anything starts; needs no TensorFlow."""

import configparser
import pathlib

import pytest

from tf_finetune import errors
from tf_finetune.exporting import catalog, choice


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("model.h5", "h5"),
        ("model.weights.h5", "h5"),
        ("hdf5", "h5"),
        ("flowers.keras", "keras"),
        ("model.tflite", "litert"),
        ("TFLite", "litert"),
        ("out/model.onnx", "onnx"),
        ("savedmodel", "saved_model"),
        ("saved_model.pb", "saved_model"),
        ("tf", "saved_model"),
    ],
)
def test_a_file_asked_as_a_format_is_answered_with_the_right_name(given, meant):
    with pytest.raises(errors.UsageError) as caught:
        choice.check_name(given)

    assert f"--format={given}" in str(caught.value)
    assert f"--format={meant}" in str(caught.value)
    assert "--output" in str(caught.value)


def test_another_name_is_answered_with_near_ones():
    with pytest.raises(errors.UsageError, match="Did you mean 'litert'"):
        choice.check_name("litrt")


@pytest.mark.parametrize("name", ["saved_model", "h5", "keras", "whole_h5"])
def test_the_plain_formats_need_nothing_more(name):
    choice.check_name(name)
    choice.check_extra(name)


@pytest.mark.parametrize("name", sorted(catalog.EXTRAS))
def test_a_missing_library_names_the_extra(name, monkeypatch):
    extra, modules = catalog.EXTRAS[name]
    monkeypatch.setattr(choice.importlib.util, "find_spec", lambda _: None)

    with pytest.raises(errors.UsageError) as caught:
        choice.check_extra(name)

    assert f"pip install 'tf_finetune[{extra}]'" in str(caught.value)
    assert modules[0] in str(caught.value)


def test_every_extra_is_declared():
    config = configparser.ConfigParser()
    config.read(pathlib.Path(__file__).parents[2] / "setup.cfg")
    declared = set(config["options.extras_require"])
    assert {extra for extra, _ in catalog.EXTRAS.values()} <= declared
