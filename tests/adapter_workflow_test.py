"""Tests of tf_finetune/adapter_workflow.py: the command adapters."""

import sys
import typing

import keras
import numpy as np
import pytest
from adaptation import adapter_cases as cases

from tf_finetune import adapter_workflow, cli, commands, errors
from tf_finetune.adaptation import adapter_file, composition
from tf_finetune.config import command_configs, options


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("adapters")
    for number, name in enumerate(("first", "second")):
        (place / name).mkdir()
        path = place / name / "adapter.h5"
        adapter_file.write(path, cases.draw_adapter(number), "float32")
    other = cases.draw_adapter(3, input_channels=1)
    adapter_file.write(place / "other.h5", other, "float32")
    return place


def _run(**given) -> list[str]:
    said: list[str] = []
    adapter_workflow.manage_adapters(
        options.from_keywords(command_configs.AdaptersConfig, given),
        report=said.append,
    )
    return said


def test_the_action_is_the_first_word(monkeypatch):
    actions = commands.COMMANDS["adapters"].actions
    field = options.find_field(command_configs.AdaptersConfig, "action")
    assert typing.get_args(field.type) == actions
    seen = []
    monkeypatch.setattr(
        cli, "run_command", lambda *_, **__: seen.append(sys.argv[1:])
    )
    for words in (["merge", "--output=a"], ["merg"], ["--adapters=merge"]):
        monkeypatch.setattr(sys, "argv", ["adapters", *words])
        commands.start("adapters")
    assert seen == [
        ["--action=merge", "--output=a"],
        ["--action=merg"],  # The error about the flag lists the actions.
        ["--adapters=merge"],
    ]


def test_a_list_describes_each_file(folder):
    said = _run(adapters=(str(folder / "first"), str(folder / "other.h5")))
    assert len(said) == 2
    for words in (
        "first/adapter.h5",
        "small_cnn, weights none",
        "lora+norm",
        "outputs: a, b, c",
        "test accuracy 0.750",
    ):
        assert words in said[0]


def test_a_merged_file_is_the_adapted_network(folder):
    output = folder / "merged.keras"
    (said,) = _run(
        action="merge", adapters=(str(folder / "first"),), output=str(output)
    )
    assert str(output) in said
    built = composition.build_adapted(cases.draw_adapter(0), "none")
    composition.load_numbers(cases.draw_adapter(0), built).merge()
    images = np.random.default_rng(0).uniform(0, 255, [2, 16, 16, 3])
    loaded = keras.saving.load_model(output)
    np.testing.assert_allclose(loaded(images), built.model(images), atol=1e-6)
    assert {
        each.__module__.partition(".")[0] for each in map(type, loaded.layers)
    } == {"keras"}


def test_composed_files_share_the_backbone_and_keep_their_heads(folder):
    given = (f"{folder / 'first'}:0.5", f"{folder / 'second'}:0.25")
    _run(action="compose", adapters=given, output=str(folder / "both"))
    first, second = (
        keras.saving.load_model(folder / "both" / f"{name}.keras")
        for name in ("first", "second")
    )
    heads = len(cases.draw_adapter(0).head)
    for ours, theirs in zip(
        first.get_weights()[:-heads], second.get_weights()[:-heads], strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    for number, model in enumerate((first, second)):
        for weight, value in zip(
            model.get_weights()[-heads:],
            cases.draw_adapter(number).head,
            strict=True,
        ):
            np.testing.assert_array_equal(weight, value)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"adapters": ("first", "first")}, "twice"),
        ({"adapters": ("first",), "output": "x"}, "--output=x is for --action"),
        ({"adapters": ("first:half",)}, "no number"),
        (
            {"action": "merge", "adapters": ("first",), "output": "x.h5"},
            "must end in .keras",
        ),
        (
            {
                "action": "merge",
                "adapters": ("first", "second"),
                "output": "x.keras",
            },
            "compose takes several",
        ),
        (
            {
                "action": "compose",
                "adapters": ("first", "other.h5"),
                "output": "x",
            },
            "fingerprints of their bases",
        ),
        ({"action": "merge", "adapters": ("first",)}, "--output is needed"),
        ({"adapters": ()}, "--adapters is needed"),
    ],
)
def test_wrong_choices_are_refused(folder, monkeypatch, given, words):
    monkeypatch.chdir(folder)
    with pytest.raises(errors.UsageError, match=words):
        _run(**given)
