"""Squeeze-and-excitation put into residual networks."""

import keras
import numpy as np
import pytest

from tf_finetune import errors
from tf_finetune.backbones import catalog
from tf_finetune.backbones.surgery import squeeze_excite
from tf_finetune.model import inference


@pytest.mark.parametrize("name", ["resnet18", "resnet50_v2"])
def test_the_pretrained_function_is_unchanged_bit_by_bit(
    name, make_backbone, images, assert_survived
):
    plain = make_backbone(name)
    excited, change = squeeze_excite.insert_blocks(plain)
    assert_survived(plain.model, excited.model)
    np.testing.assert_array_equal(plain.model(images), excited.model(images))
    compiled = [
        inference.compile_step(each.model)(images) for each in (plain, excited)
    ]
    np.testing.assert_array_equal(*compiled)
    assert list(excited.feature_maps) == list(plain.feature_maps)
    before = plain.model.count_params()
    assert change.new == excited.model.count_params() - before
    # Hu et al. 2018, equation 5 (and biases), a block for each of four
    # stages: 2 C²/16 + C/16 + C numbers.
    widths = {"resnet18": (64, 128, 256, 512)}.get(name)
    if widths:
        sizes = [2 * c * c // 16 + c // 16 + c for c in widths]
        assert change.new == 2 * sum(sizes)


def test_a_block_learns_and_lies_in_the_stage_it_changes(make_backbone, images):
    excited, _ = squeeze_excite.insert_blocks(make_backbone("resnet18"))
    (last,) = [each for each in excited.stages if each.name == "stage5"]
    assert "conv5_block2_se_expand" in last.layer_names
    model = excited.model
    expand = model.get_layer("conv5_block2_se_expand")
    before = np.asarray(model(images))
    expand.bias.assign(np.full(expand.bias.shape, 30.0))  # A factor of 2.
    branch = model.get_layer("conv5_block2_2_bn").output
    shortcut = model.get_layer("conv5_block1_out").output
    inner, past = keras.Model(model.inputs[0], [branch, shortcut])(images)
    expected = np.maximum(np.asarray(past) + 2 * np.asarray(inner), 0)
    np.testing.assert_allclose(model(images), expected, rtol=1e-5, atol=1e-5)
    assert (before != expected).any()


@pytest.mark.parametrize("name", ["mobilenet+se", "resnet50+es", "resnet50+"])
def test_other_networks_and_additions_are_refused(name):
    with pytest.raises(errors.UsageError) as raised:
        catalog.find_spec(name)
    assert f"--backbone={name}" in str(raised.value)
    assert "resnet18" in str(raised.value)


def test_the_name_is_that_of_the_plain_network_and_the_wish():
    spec, alpha = catalog.find_spec("ResNet50+se")
    assert (spec.name, spec.squeeze_excite, alpha) == ("resnet50", True, None)
    assert not catalog.find_spec("resnet50")[0].squeeze_excite
