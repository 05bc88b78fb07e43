"""Tests of tf_finetune/adaptation/composition.py: sums of saved adapters."""

import dataclasses

import numpy as np
import pytest
from adaptation import adapter_cases as cases

from tf_finetune import errors
from tf_finetune.adaptation import adapter_file, composition
from tf_finetune.model import assembly
from tf_finetune.tasks import classification


@pytest.fixture(scope="module")
def saved() -> adapter_file.SavedAdapter:
    return cases.draw_adapter(1)


@pytest.fixture(scope="module")
def plain() -> assembly.Assembly:
    """The network without any change."""
    return cases.build_network(cases.choose_options())


def _merge_by_hand(saved, plain) -> dict[str, np.ndarray]:
    """Returns the changed weights by place, layer and variable, with NumPy."""
    layers = [each for each in plain.backbone.model.layers if each.variables]
    found = {}
    for name, number in saved.numbers.items():
        layer, variable, kind = name.split("/")
        weight = np.array(
            getattr(layers[int(layer.partition("_")[0])], variable)
        )
        if kind == "a":
            b = saved.numbers[f"{layer}/{variable}/b"]
            # α = r = 4.
            weight = weight + (number @ b).reshape(weight.shape)
        elif kind == "delta":
            weight = weight + number
        else:
            continue
        found[f"{layer}/{variable}"] = weight
    return found


def _read(built, saved) -> dict[str, np.ndarray]:
    layers = [each for each in built.backbone.model.layers if each.variables]
    names = {name.rpartition("/")[0] for name in saved.numbers}
    return {
        name: np.array(
            getattr(
                layers[int(name.partition("_")[0])], name.rpartition("/")[2]
            )
        )
        for name in names
    }


def test_a_merged_network_has_the_saved_changes_and_head(saved, plain):
    built = composition.build_adapted(saved, "none")
    composition.load_numbers(saved, built).merge()
    wanted = _merge_by_hand(saved, plain)
    for name, value in _read(built, saved).items():
        np.testing.assert_allclose(value, wanted[name], atol=1e-6)
    for weight, value in zip(built.head.weights, saved.head, strict=True):
        np.testing.assert_array_equal(np.array(weight), value)


def test_a_composed_network_has_the_weighted_sum_of_changes(saved, plain):
    # Layers of another process may have other names.
    renamed = {
        name.replace("_", "_x", 1): value
        for name, value in cases.draw_adapter(2).numbers.items()
    }
    other = dataclasses.replace(saved, numbers=renamed)
    built = composition.build_adapted(saved, "none")
    composition.add_changes(built, [(saved, 0.5), (other, -2.0)])
    ours = _merge_by_hand(saved, plain)
    theirs = _merge_by_hand(cases.draw_adapter(2), plain)
    before = _read(plain, saved)
    for name, value in _read(built, saved).items():
        wanted = before[name] + 0.5 * (ours[name] - before[name])
        wanted -= 2 * (theirs[name] - before[name])
        np.testing.assert_allclose(value, wanted, atol=1e-5)


def test_a_new_network_may_begin_with_an_adapter(saved, plain, tmp_path):
    path = tmp_path / "adapter.h5"
    adapter_file.write(path, saved, "float32")
    chosen = cases.choose_options(weights=str(path), adaptation="freeze")
    task = classification.TASK
    built = composition.build_model(chosen, task, ("x", "y"), seed=5)
    assert built.seed == 5 and built.model.output_shape == (None, 2)
    wanted = _merge_by_hand(saved, plain)
    for name, value in _read(built, saved).items():
        np.testing.assert_allclose(value, wanted[name], atol=1e-6)


def test_what_does_not_fit_is_refused_and_changes_nothing(saved):
    built = composition.build_adapted(saved, "none")
    before = [np.array(each) for each in built.model.weights]
    first = next(iter(saved.numbers))
    numbers = dict(saved.numbers)
    for changed, words in (
        ({**numbers, first: np.zeros([2, 2])}, r"has the shape \(2, 2\)"),
        ({**numbers, "99_x/kernel/a": np.zeros(2)}, "none is expected"),
        ({k: v for k, v in numbers.items() if k != first}, "shape none"),
    ):
        with pytest.raises(errors.RunError, match=words):
            composition.load_numbers(
                dataclasses.replace(saved, numbers=changed), built
            )
    base = {**saved.facts["base"], "sha256": "ab" * 32}
    other = dataclasses.replace(saved, facts={**saved.facts, "base": base})
    with pytest.raises(errors.RunError, match="fingerprint abababababab, and"):
        composition.load_numbers(other, built)
    for weight, old in zip(built.model.weights, before, strict=True):
        np.testing.assert_array_equal(np.array(weight), old)
    with pytest.raises(errors.RunError, match="do not fit its network"):
        composition.build_adapted(
            dataclasses.replace(saved, head=saved.head[:1]), "none"
        )


def test_labels_whose_scale_is_not_in_the_file_are_refused(saved):
    model = {**saved.facts["model"], "task": "regression"}
    other = dataclasses.replace(saved, facts={**saved.facts, "model": model})
    with pytest.raises(errors.UsageError, match=r"Use its model\.keras"):
        composition.build_adapted(other, "none")


def test_networks_beside_one_another_share_the_backbone(saved):
    built = composition.build_adapted(saved, "none")
    other = cases.draw_adapter(2, adaptation="bias")
    added = composition.build_beside(other, built)
    for one, two in zip(
        built.backbone.model.weights, added.backbone.model.weights, strict=True
    ):
        assert one is two
    for variable, value in zip(added.head.weights, other.head, strict=True):
        np.testing.assert_array_equal(variable, value)
    # The first one has its own head still.
    for variable, value in zip(built.head.weights, saved.head, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_a_head_with_a_backbone_of_its_own_shares_none(
    saved, plain, monkeypatch
):
    built = composition.build_adapted(saved, "none")
    monkeypatch.setattr(assembly, "replace_head", lambda *_: plain)
    with pytest.raises(errors.UsageError, match="builds its backbone again"):
        composition.build_beside(saved, built)


def test_weights_of_the_base_may_be_an_adapter(saved, plain, tmp_path):
    path = tmp_path / "first.h5"
    adapter_file.write(path, saved, "float32")
    built = composition.build_adapted(saved, str(path))
    found = _read(built, saved)
    for name, wanted in _merge_by_hand(saved, plain).items():
        np.testing.assert_allclose(found[name], wanted, rtol=0, atol=1e-6)
