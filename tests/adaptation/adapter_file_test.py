"""Tests of tf_finetune/adaptation/adapter_file.py: files of strangers."""

import dataclasses
import json

import h5py
import numpy as np
import pytest

from tf_finetune import errors
from tf_finetune.adaptation import adapter_file
from tf_finetune.config import model_options, options, train_config
from tf_finetune.preflight import train
from tf_finetune.weights import weights_file

_FACTS = {
    "format": 1,
    "version": "0.1.0",
    "base": {"sha256": "ab" * 32, "weights": "none", "file": "", "seed": 0},
    "model": {"backbone": "small_cnn", "adaptation": "lora"},
    "class_names": ["a", "b"],
    "kept": "fine_tune",
    "boundary": [],
    "decision": {},
    "figures": {"validation": {"accuracy": 0.5}},
}


@pytest.fixture
def saved() -> adapter_file.SavedAdapter:
    return adapter_file.SavedAdapter(
        facts=_FACTS,
        numbers={"3_conv/kernel/a": np.arange(6, dtype="float32")},
        head=[np.full([4, 2], 1 / 3, "float32"), np.zeros(2, "float32")],
    )


@pytest.fixture
def path(tmp_path, saved):
    place = tmp_path / "adapter.h5"
    adapter_file.write(place, saved, "float32")
    return place


def test_what_was_written_is_read(path, saved):
    found = adapter_file.read(path)
    assert found.facts == saved.facts
    assert found.options.adaptation == "lora"
    assert found.class_names == ("a", "b")
    assert {*found.numbers} == {*saved.numbers}
    for ours, theirs in zip(
        [*found.numbers.values(), *found.head],
        [*saved.numbers.values(), *saved.head],
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)
    assert weights_file.detect_kind(path) == "adapter"


def test_float16_rounds_and_refuses_what_it_cannot_hold(tmp_path, saved):
    place = tmp_path / "half.h5"
    adapter_file.write(place, saved, "float16")
    found = adapter_file.read(place).head[0]
    assert found.dtype == "float32"
    np.testing.assert_array_equal(found, saved.head[0].astype("float16"))
    large = dataclasses.replace(
        saved, numbers={"3_c/kernel/a": np.full(2, 1e6)}
    )
    with pytest.raises(errors.RunError, match="float16 cannot hold"):
        adapter_file.write(place, large, "float16")


def test_fingerprints_depend_on_values_and_shapes():
    weights = [np.zeros([2, 3]), np.ones(4)]
    found = adapter_file.hash_weights(weights)
    assert found == adapter_file.hash_weights(
        [each.astype("float32") for each in weights]
    )
    assert found != adapter_file.hash_weights([np.zeros([3, 2]), np.ones(4)])
    assert found != adapter_file.hash_weights([np.zeros([2, 3]), np.zeros(4)])


def _change_facts(path, **changed):
    with h5py.File(path, "r+") as file:
        content = json.dumps({**_FACTS, **changed}).encode()
        del file["facts"]
        file["facts"] = np.frombuffer(content, "uint8")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"format": 99}, "Update the package"),
        ({"class_names": []}, "class_names"),
        ({"base": {}}, "sha256"),
        ({"figures": {"test": 3}}, "figures"),
    ],
)
def test_facts_that_do_not_fit_are_refused(path, changed, words):
    _change_facts(path, **changed)
    with pytest.raises(errors.RunError, match=words):
        adapter_file.read(path)


def test_deeply_nested_facts_are_refused(path):
    with h5py.File(path, "r+") as file:
        del file["facts"]
        file["facts"] = np.frombuffer(b"[" * 200_000, "uint8")
    with pytest.raises(errors.RunError, match="nested"):
        adapter_file.read(path)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"backbone": "os:getcwd"}, "--backbone=os:getcwd"),
        ({"adaptation": "os:getcwd"}, "--adaptation=os:getcwd"),
        ({"adapter_rank": 0}, "adapter_rank"),
        ({"speed": 3}, "speed"),
    ],
)
def test_options_that_name_code_or_nothing_are_refused(path, model, words):
    _change_facts(path, model=model)
    with pytest.raises(errors.RunError, match=words):
        _ = adapter_file.read(path).options


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.array([1.0, np.nan], "float32"), "NaN"),
        (np.array([1, 2]), "must be float32"),
    ],
)
def test_arrays_of_other_kinds_are_refused(path, value, words):
    with h5py.File(path, "r+") as file:
        file["adapter/x"] = value
    with pytest.raises(errors.RunError, match=words):
        adapter_file.read(path)


def test_links_and_damaged_files_are_refused(path, tmp_path):
    with h5py.File(path, "r+") as file:
        file["adapter/x"] = h5py.ExternalLink("/etc/passwd", "/")
    with pytest.raises(errors.RunError, match="link to another place"):
        adapter_file.read(path)
    cut = tmp_path / "cut.h5"
    cut.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(errors.RunError, match="damaged"):
        adapter_file.read(cut)


def test_other_files_are_no_adapters(tmp_path):
    with pytest.raises(errors.UsageError, match="is no file"):
        adapter_file.read(tmp_path / "absent.h5")
    text = tmp_path / "text.h5"
    text.write_text("hello")
    with pytest.raises(errors.UsageError, match="no HDF5"):
        adapter_file.read(text)
    with h5py.File(tmp_path / "plain.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(errors.UsageError, match="but no adapter"):
        adapter_file.read(tmp_path / "plain.h5")


def test_other_networks_and_bases_of_files_are_refused(saved, path):
    def chosen(**given) -> model_options.ModelOptions:
        given = {"backbone": "small_cnn", "weights": str(path), **given}
        return options.from_keywords(model_options.ModelOptions, given)

    adapter_file.check_network(saved, chosen())
    for given, words in (
        ({"backbone": "resnet50"}, "--backbone=small_cnn, but --backbone=res"),
        ({"norm": "group"}, "--norm=keep, but --norm=group"),
    ):
        with pytest.raises(errors.UsageError, match=words):
            adapter_file.check_network(saved, chosen(**given))
    assert adapter_file.find_base(saved, path) == "none"
    base = {**_FACTS["base"], "weights": None, "file": "mine.h5"}
    other = dataclasses.replace(saved, facts={**_FACTS, "base": base})
    with pytest.raises(errors.UsageError, match=r"mine\.h5; fingerprint abab"):
        adapter_file.find_base(other, path)


def test_a_run_learns_before_it_begins_whether_an_adapter_fits(path):
    def check(**given) -> None:
        given = {"data": "digits:5-9", "weights": str(path), **given}
        config = options.from_keywords(train_config.TrainConfig, given)
        train.check_config(config)

    check(backbone="small_cnn")
    with pytest.raises(errors.UsageError, match="is an adapter of --backbone="):
        check(backbone="resnet50")
    with pytest.raises(errors.UsageError, match="adapters have no parts"):
        check(backbone="small_cnn", weights=f"{path}::first")
    with pytest.raises(errors.UsageError, match="here a whole network"):
        weights_file.read_weights(path)
    _change_facts(path, format=99)
    with pytest.raises(errors.RunError, match="Update the package"):
        check(backbone="small_cnn")
