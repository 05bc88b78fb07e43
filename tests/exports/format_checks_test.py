"""What is said of --format before anything starts; needs no TensorFlow."""

import configparser
import pathlib

import pytest

from tf_finetune import errors
from tf_finetune.exports import catalog, format_checks


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
        format_checks.check_name(given)

    assert f"--format={given}" in str(caught.value)
    assert f"--format={meant}" in str(caught.value)
    assert "--output" in str(caught.value)


def test_another_name_is_answered_with_near_ones():
    with pytest.raises(errors.UsageError, match="Did you mean 'litert'"):
        format_checks.check_name("litrt")


@pytest.mark.parametrize("name", ["saved_model", "h5", "keras", "whole_h5"])
def test_the_plain_formats_need_nothing_more(name):
    format_checks.check_name(name)
    format_checks.check_packages(name)


@pytest.mark.parametrize("name", sorted(catalog.EXTRAS))
def test_a_missing_library_names_the_extra(name, monkeypatch):
    extra, modules = catalog.EXTRAS[name]
    monkeypatch.setattr(
        format_checks.importlib.util, "find_spec", lambda _: None
    )

    with pytest.raises(errors.UsageError) as caught:
        format_checks.check_packages(name)

    assert f"pip install 'tf_finetune[{extra}]'" in str(caught.value)
    assert modules[0] in str(caught.value)


def test_every_extra_is_declared():
    config = configparser.ConfigParser()
    config.read(pathlib.Path(__file__).parents[2] / "setup.cfg")
    declared = set(config["options.extras_require"])
    assert {extra for extra, _ in catalog.EXTRAS.values()} <= declared


class TestTolerance:
    _FIGURES = ("macro_average_precision", "micro_f1")

    def test_a_loss_is_that_of_every_figure_or_of_one(self):
        read = format_checks.parse_tolerance
        assert read(["0.02"], self._FIGURES) == dict.fromkeys(
            self._FIGURES, 0.02
        )
        assert read(["micro_f1:0.1"], self._FIGURES) == {"micro_f1": 0.1}
        assert read([], self._FIGURES) == {}

    @pytest.mark.parametrize(
        "spec", ["accuracy:0.1", "2", "-0.1", "nan", "two", "micro_f1:", ":",
         ":0.1"],
    )  # fmt: skip
    def test_what_is_no_loss_is_refused(self, spec):
        with pytest.raises(errors.UsageError, match="--tolerance="):
            format_checks.parse_tolerance([spec], self._FIGURES)

    @pytest.mark.parametrize(
        "specs", [["0.1", "0.2"], ["micro_f1:0.1", "micro_f1:0.1"],
                  ["micro_f1:0.1", "0.2"]],
    )  # fmt: skip
    def test_two_losses_of_one_figure_are_refused(self, specs):
        with pytest.raises(errors.UsageError, match="micro_f1 two|sion two"):
            format_checks.parse_tolerance(specs, self._FIGURES)

    def test_formats_that_do_not_round_have_none(self):
        check = format_checks.check_tolerance
        with pytest.raises(errors.UsageError, match="formats that round"):
            check(["0.1"], ["keras", "onnx"], self._FIGURES)
        check(["0.1"], ["keras", "litert_int8"], self._FIGURES)
        check([], ["keras"], self._FIGURES)
