"""Tests of tf_finetune/serving/adapter_files.py: names, and one base."""

import dataclasses

import pytest
from adaptation import adapter_cases as cases

from tf_finetune import errors
from tf_finetune.adaptation import adapter_file
from tf_finetune.config import options, serve_config
from tf_finetune.serving import adapter_files


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("adapters")
    saved = cases.draw_adapter(0)
    base = saved.facts["base"]
    for name, content in {
        "first/adapter.h5": saved,
        "second/adapter.h5": saved,
        "small.h5": dataclasses.replace(
            saved,
            facts={
                **saved.facts,
                "model": {**saved.facts["model"], "image_size": 32},
            },
        ),
        "other.h5": dataclasses.replace(
            saved, facts={**saved.facts, "base": {**base, "sha256": "f" * 64}}
        ),
        "of a file.h5": dataclasses.replace(
            saved, facts={**saved.facts, "base": {**base, "weights": None}}
        ),
    }.items():
        path = place / name
        path.parent.mkdir(exist_ok=True)
        adapter_file.write(path, content, "float32")
    return place


def _read(folder, *values, weights=""):
    given = [value.replace("@", f"{folder}/") for value in values]
    return adapter_files.read_adapters(given, weights)


def test_a_model_is_called_as_its_workdir_or_as_is_said(folder):
    found = _read(folder, "@first", "b=@second/adapter.h5")
    assert [*found.saved] == ["first", "b"]
    assert found.weights == "none"
    assert _read(folder, "@first", weights="a.h5").weights == "a.h5"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (("@first", "@first/adapter.h5"), "both be served as first"),
        (("@first", "@other.h5"), "fingerprints of their bases are: .*ffff"),
        (("@first", "@small.h5"), "--image_size=16 and small with --image_s"),
        (("@of a file.h5",), "letters, digits, _ . @ and -, got 'of a file'"),
        (("f=@of a file.h5",), "does not hold. Give that file: --w"),
        (("@third",), "is no file"),
    ],
)
def test_adapters_that_cannot_be_served_are_refused(folder, values, words):
    with pytest.raises(errors.UsageError, match=words):
        _read(folder, *values)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"adapters": "a.h5", "workdir": "runs/a"}, "--workdir=runs/a is for"),
        ({"adapters": "a.h5", "exports": "e"}, "--exports=e is for an export"),
        ({"adapters": "a.h5", "version": 2}, "--version=2 is for an exported"),
        ({"adapters": "a.h5", "model_name": "m"}, "NAME=PATH names the model"),
        (
            {"workdir": "runs/a", "weights": "x"},
            "--weights=x is for --adapters",
        ),
    ],
)
def test_flags_of_exports_and_of_adapters_exclude_each_other(given, words):
    with pytest.raises(errors.UsageError, match=words):
        options.from_keywords(serve_config.ServeConfig, given)
