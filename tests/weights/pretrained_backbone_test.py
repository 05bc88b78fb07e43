"""A backbone as it is asked for."""

import keras
import numpy as np
import pytest

from tf_finetune import errors
from tf_finetune.config import model_options, options
from tf_finetune.weights import pretrained_backbone


def _asked(**changes) -> model_options.ModelOptions:
    given = {"backbone": "small_cnn", "image_size": 32, **changes}
    return options.from_keywords(model_options.ModelOptions, given)


def _flags(**changes) -> str:
    return options.to_flagfile(_asked(**changes))


def _equal(before: keras.Model, after: keras.Model, *, but=()) -> int:
    """Compares the weights of layers of one name; returns how many."""
    old = {layer.name: layer for layer in before.layers if layer.weights}
    names = [layer.name for layer in after.layers if layer.weights]
    compared = [name for name in names if name in old and name not in but]
    for name in compared:
        pairs = zip(
            old[name].get_weights(),
            after.get_layer(name).get_weights(),
            strict=True,
        )
        for ours, theirs in pairs:
            np.testing.assert_array_equal(ours, theirs)
    return len(compared)


@pytest.fixture(scope="module")
def plain():
    return pretrained_backbone.build_pretrained(_asked(), "digits")


def test_without_surgery_it_is_the_whole_network(plain):
    assert plain.changes == ()
    assert plain.loaded.report.complete


@pytest.mark.parametrize(
    ("changes", "but", "count"),
    [
        ({"cut_at": "stage2"}, (), 14),
        ({"input_channels": 1}, ("stem_conv",), 19),
        (
            {"cut_at": "block2_out", "input_channels": 1},
            ("stem_conv",),
            13,
        ),
    ],
)
def test_files_of_the_whole_network_load_before_it_is_operated_on(
    plain, changes, but, count
):
    made = pretrained_backbone.build_pretrained(_asked(**changes), "digits")
    assert made.loaded.report.complete
    assert made.loaded.sha256 == plain.loaded.sha256
    found = _equal(plain.backbone.model, made.backbone.model, but=but)
    assert found == count
    assert len(made.changes) == len(changes)


def test_scale_and_shift_are_those_of_the_file(plain):
    made = pretrained_backbone.build_pretrained(
        _asked(norm="instance", cut_at="stage2"), "digits"
    )
    for layer in made.backbone.model.layers:
        if isinstance(layer, keras.layers.GroupNormalization):
            old = plain.backbone.model.get_layer(layer.name)
            np.testing.assert_array_equal(layer.gamma, old.gamma)
            np.testing.assert_array_equal(layer.beta, old.beta)


def _finished(folder, **changes) -> keras.Model:
    """Writes what a run leaves, with other weights than fresh ones."""
    made = pretrained_backbone.build_pretrained(_asked(**changes), "none")
    model = made.backbone.model
    generator = np.random.default_rng(3)
    for variable in model.weights:
        variable.assign(generator.uniform(0.5, 1.5, variable.shape))
    model.save_weights(folder / "model.weights.h5")
    (folder / "run.flags").write_text(_flags(**changes))
    return model


_OPERATED = {
    "backbone": "resnet18+se",
    "cut_at": "stage3",
    "norm": "group",
    "input_channels": 1,
}


def test_a_run_of_the_same_surgery_gives_all_of_its_weights(tmp_path):
    theirs = _finished(tmp_path, **_OPERATED)
    made = pretrained_backbone.build_pretrained(
        _asked(**_OPERATED), str(tmp_path)
    )
    ours = made.backbone.model
    assert made.loaded.report.complete
    assert _equal(theirs, ours) == sum(bool(e.weights) for e in theirs.layers)
    assert any("_se_" in layer.name for layer in ours.layers)
    assert len(made.changes) == 4


def test_a_run_of_other_surgery_says_with_which_flags(tmp_path):
    _finished(tmp_path, **_OPERATED)
    with pytest.raises(errors.UsageError) as raised:
        pretrained_backbone.build_pretrained(
            _asked(backbone="resnet18"), str(tmp_path)
        )
    assert (
        "--backbone=resnet18+se --cut_at=stage3 --norm=group --input_channels=1"
        in str(raised.value)
    )


def test_a_run_without_surgery_is_loaded_and_then_operated_on(tmp_path):
    theirs = _finished(tmp_path)
    made = pretrained_backbone.build_pretrained(
        _asked(cut_at="stage1"), str(tmp_path)
    )
    assert _equal(theirs, made.backbone.model) == 8
