"""What is said of an export that is refused."""

import email.message
import importlib.metadata

import pytest

from tf_finetune.exporting import catalog
from tf_finetune.exporting.proof import refusal


def test_the_best_formats_are_named_and_no_more_than_two():
    error = refusal.Refused(
        "It differs.", instead=("litert_dynamic", "litert_float16", "litert")
    )
    said = str(error)
    assert said.index("litert_dynamic") < said.index("litert_float16")
    assert "--format=litert " not in said
    left = error.without({"litert_dynamic"})
    assert "--format=litert " in str(left)
    assert str(left.without({"litert_float16", "litert"})) == "It differs."


def test_everything_that_is_advised_is_a_format():
    assert set(refusal._HELD_BY) <= set(catalog.EXPORTS.names())


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
    assert at in refusal.where_to_report()

    def missing(name):
        raise found(name)

    monkeypatch.setattr(importlib.metadata, "metadata", missing)
    assert "please report this, with" in refusal.where_to_report()
