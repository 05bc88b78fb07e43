"""What is said of --format before anything starts; needs no TensorFlow."""

import configparser
import pathlib

import pytest

from tf_finetune import errors
from tf_finetune.exports import catalog, export_flags


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
        export_flags.check_name(given)

    assert f"--format={given}" in str(caught.value)
    assert f"--format={meant}" in str(caught.value)
    assert "--output" in str(caught.value)


def test_another_name_is_answered_with_near_ones():
    with pytest.raises(errors.UsageError, match="Did you mean 'litert'"):
        export_flags.check_name("litrt")


@pytest.mark.parametrize("name", ["saved_model", "h5", "keras", "whole_h5"])
def test_the_plain_formats_need_nothing_more(name):
    export_flags.check_name(name)
    export_flags.check_packages(name)


@pytest.mark.parametrize("name", sorted(catalog.EXTRAS))
def test_a_missing_library_names_the_extra(name, monkeypatch):
    extra, modules = catalog.EXTRAS[name]
    monkeypatch.setattr(
        export_flags.importlib.util, "find_spec", lambda _: None
    )

    with pytest.raises(errors.UsageError) as caught:
        export_flags.check_packages(name)

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
        read = export_flags.parse_tolerance
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
            export_flags.parse_tolerance([spec], self._FIGURES)

    @pytest.mark.parametrize(
        "specs", [["0.1", "0.2"], ["micro_f1:0.1", "micro_f1:0.1"],
                  ["micro_f1:0.1", "0.2"]],
    )  # fmt: skip
    def test_two_losses_of_one_figure_are_refused(self, specs):
        with pytest.raises(errors.UsageError, match="micro_f1 two|sion two"):
            export_flags.parse_tolerance(specs, self._FIGURES)

    def test_formats_that_do_not_round_have_none(self):
        check = export_flags.check_tolerance
        with pytest.raises(errors.UsageError, match="formats that round"):
            check(["0.1"], ["keras", "onnx"], self._FIGURES)
        check(["0.1"], ["keras", "litert_int8"], self._FIGURES)
        check([], ["keras"], self._FIGURES)


@pytest.mark.parametrize("suffix", [".tflite", ".onnx", ".keras"])
def test_a_file_may_be_named_by_its_own_suffix(tmp_path, suffix):
    asked = tmp_path / f"flowers{suffix}"
    assert (
        export_flags.resolve_file(asked, stem="model", suffix=suffix) == asked
    )


def test_a_file_of_another_format_is_refused(tmp_path):
    asked = tmp_path / "flowers.tflite"
    with pytest.raises(errors.UsageError, match=r"end in \.onnx"):
        export_flags.resolve_file(asked, stem="model", suffix=".onnx")


def test_weights_get_the_suffix_that_keras_reads(tmp_path):
    found = export_flags.resolve_file(
        tmp_path / "flowers.h5", stem="model", suffix=".weights.h5"
    )
    assert found == tmp_path / "flowers.weights.h5"


def test_anything_else_is_a_folder(tmp_path):
    asked = tmp_path / "out.v2"
    found = export_flags.resolve_file(asked, stem="model", suffix=".onnx")
    assert found == asked / "model.onnx"


def test_a_folder_called_like_a_file_is_a_folder(tmp_path):
    asked = tmp_path / "out.onnx"
    asked.mkdir()
    found = export_flags.resolve_file(asked, stem="model", suffix=".onnx")
    assert found == asked / "model.onnx"
    export_flags.check_output(str(asked), ["litert", "onnx"])


@pytest.mark.parametrize(
    ("output", "formats", "said"),
    [
        ("x.tflite", ["litert", "onnx"], "makes 2 exports"),
        ("x.tflite", ["litert", "litert_int8"], "makes 2 exports"),
        ("x.tflite", ["onnx"], r"end in \.onnx"),
        ("x.weights.h5", ["whole_h5"], "weights file"),
        ("x.keras", ["saved_model"], "makes a folder"),
    ],
)
def test_what_cannot_be_written_is_known_before(
    tmp_path, output, formats, said
):
    with pytest.raises(errors.UsageError, match=said):
        export_flags.check_output(str(tmp_path / output), formats)


@pytest.mark.parametrize(
    ("output", "formats"),
    [
        (None, ["saved_model", "litert"]),
        ("out", ["saved_model", "litert"]),
        ("x.tflite", ["litert_int8"]),
        ("x.h5", ["h5"]),
        ("x.h5", ["whole_h5"]),
    ],
)
def test_what_can_be_written_is_let_through(tmp_path, output, formats):
    export_flags.check_output(output and str(tmp_path / output), formats)


@pytest.mark.parametrize(
    ("output", "formats"),
    [("run", ["litert", "keras"]), ("run/../run/model.keras", ["keras"])],
)
def test_no_export_takes_the_place_of_a_file_of_the_run(
    tmp_path, output, formats
):
    own = [tmp_path / "run" / "model.keras"]
    with pytest.raises(errors.UsageError, match=r"run's own model\.keras"):
        export_flags.check_no_overwrite(str(tmp_path / output), formats, own)
    for other, kinds in (
        (None, formats),
        (str(tmp_path / "run"), ["litert", "saved_model"]),
        (str(tmp_path), formats),
    ):
        export_flags.check_no_overwrite(other, kinds, own)


def test_a_file_is_no_folder_of_exports(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(errors.UsageError, match="is a file"):
        export_flags.check_output(str(tmp_path / "notes.txt"), ["saved_model"])


def test_every_format_but_the_folder_of_versions_has_a_suffix():
    assert set(catalog.EXPORTS.names()) - set(catalog.SUFFIXES) == {
        "saved_model"
    }
