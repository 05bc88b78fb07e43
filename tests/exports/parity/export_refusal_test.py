"""What is said of an export that is refused."""

import email.message
import importlib.metadata
import os

import pytest

from tf_finetune.exports import catalog
from tf_finetune.exports.parity import export_refusal, parity_check


def test_the_best_formats_are_named_and_no_more_than_two():
    error = export_refusal.ExportRefusedError(
        "It differs.", instead=("litert_dynamic", "litert_float16", "litert")
    )
    said = str(error)
    assert said.index("litert_dynamic") < said.index("litert_float16")
    assert "--format=litert " not in said
    left = error.without({"litert_dynamic"})
    assert "--format=litert " in str(left)
    assert str(left.without({"litert_float16", "litert"})) == "It differs."


def test_everything_that_is_advised_is_a_format():
    assert set(export_refusal._FORMAT_ADVANTAGES) <= set(
        catalog.EXPORTS.names()
    )


@pytest.mark.parametrize(
    ("told", "at"),
    [
        ({}, "report this, with"),
        ({"Home-page": "https://example.org"}, "at https://example.org, with"),
        (
            {
                "Home-page": "https://example.org",
                "Project-URL": "Issues, https://example.org/issues",
            },
            "at https://example.org/issues, with",
        ),
    ],
)
def test_the_address_is_that_of_the_package(monkeypatch, told, at):
    found = importlib.metadata.PackageNotFoundError
    message = email.message.Message()
    for name, value in told.items():
        message[name] = value
    monkeypatch.setattr(importlib.metadata, "metadata", lambda name: message)
    assert at in export_refusal.describe_report_address()

    def missing(name):
        raise found(name)

    monkeypatch.setattr(importlib.metadata, "metadata", missing)
    assert (
        "please report this, with" in export_refusal.describe_report_address()
    )


_DAMAGED = [
    "",
    "[1]",
    '{"model.tflite": 5}',
    '{"refused": {"onnx": 5}}',
    '{"refused": ["onnx"]}',
    '{"model.tflite": {"pictures": NaN}}',
    '{"model.tflite": {"pictures": 1e999}}',
    '{"model.tflite": {"a": "\\ud800"}}',
    "[" * 100_000,
    '{"a": {"b": ' + "[" * 900 + "]" * 900 + "}}",
]


@pytest.mark.parametrize("content", _DAMAGED)
def test_a_damaged_record_is_replaced(tmp_path, content):
    (tmp_path / "parity.json").write_text(content)
    export_refusal.write_refusal(tmp_path, "onnx", "It differs.")
    path = tmp_path / "model.tflite"
    parity_check.write_figures(path, {"pictures": 3})
    assert parity_check.read_figures(path) == {"pictures": 3}
    assert export_refusal.read_refusals(tmp_path) == {"onnx": "It differs."}
    export_refusal.remove_refusal(tmp_path, "onnx")
    assert export_refusal.read_refusals(tmp_path) == {}


def test_a_record_is_no_pipe_no_link_and_bounded(tmp_path):
    folder = tmp_path / "export"
    folder.mkdir()
    (tmp_path / "other").write_text('{"refused": {"onnx": "No."}}')
    place = folder / "parity.json"
    place.symlink_to(tmp_path / "other")
    assert export_refusal.read_refusals(folder) == {}
    place.unlink()
    os.mkfifo(place)
    assert export_refusal.read_refusals(folder) == {}
    place.unlink()
    with open(place, "wb") as file:
        file.truncate(2**30)
    assert export_refusal.read_refusals(folder) == {}
