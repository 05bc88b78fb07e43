"""Folders and files of --output; needs no TensorFlow."""

import pytest

from tf_finetune import errors
from tf_finetune.exports import catalog, destination


@pytest.mark.parametrize("suffix", [".tflite", ".onnx", ".keras"])
def test_a_file_may_be_named_by_its_own_suffix(tmp_path, suffix):
    asked = tmp_path / f"flowers{suffix}"
    assert destination.resolve_file(asked, stem="model", suffix=suffix) == asked


def test_a_file_of_another_format_is_refused(tmp_path):
    asked = tmp_path / "flowers.tflite"
    with pytest.raises(errors.UsageError, match=r"end in \.onnx"):
        destination.resolve_file(asked, stem="model", suffix=".onnx")


def test_weights_get_the_suffix_that_keras_reads(tmp_path):
    found = destination.resolve_file(
        tmp_path / "flowers.h5", stem="model", suffix=".weights.h5"
    )
    assert found == tmp_path / "flowers.weights.h5"


def test_anything_else_is_a_folder(tmp_path):
    asked = tmp_path / "out.v2"
    found = destination.resolve_file(asked, stem="model", suffix=".onnx")
    assert found == asked / "model.onnx"


def test_a_folder_called_like_a_file_is_a_folder(tmp_path):
    asked = tmp_path / "out.onnx"
    asked.mkdir()
    found = destination.resolve_file(asked, stem="model", suffix=".onnx")
    assert found == asked / "model.onnx"
    destination.check_output(str(asked), ["litert", "onnx"])


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
        destination.check_output(str(tmp_path / output), formats)


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
    destination.check_output(output and str(tmp_path / output), formats)


@pytest.mark.parametrize(
    ("output", "formats"),
    [("run", ["litert", "keras"]), ("run/../run/model.keras", ["keras"])],
)
def test_no_export_takes_the_place_of_a_file_of_the_run(
    tmp_path, output, formats
):
    own = [tmp_path / "run" / "model.keras"]
    with pytest.raises(errors.UsageError, match=r"run's own model\.keras"):
        destination.check_no_overwrite(str(tmp_path / output), formats, own)
    for other, kinds in (
        (None, formats),
        (str(tmp_path / "run"), ["litert", "saved_model"]),
        (str(tmp_path), formats),
    ):
        destination.check_no_overwrite(other, kinds, own)


def test_a_file_is_no_folder_of_exports(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(errors.UsageError, match="is a file"):
        destination.check_output(str(tmp_path / "notes.txt"), ["saved_model"])


def test_every_format_but_the_folder_of_versions_has_a_suffix():
    assert set(catalog.EXPORTS.names()) - set(catalog.SUFFIXES) == {
        "saved_model"
    }
