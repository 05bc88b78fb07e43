"""Tests of tf_finetune/weights/torch/chain_names.py."""

import pytest

from tf_finetune.weights.torch import families


@pytest.mark.parametrize(
    ("backbone", "layer", "module"),
    [
        ("alexnet", "conv4", "features.8"),
        ("vgg16", "block1_conv1", "features.0"),
        ("vgg16", "block3_conv2", "features.12"),
        ("vgg19", "block5_conv4", "features.34"),
        ("mobilenet_v2", "bn_Conv1", "features.0.1"),
        ("mobilenet_v2", "expanded_conv_depthwise_BN", "features.1.conv.0.1"),
        ("mobilenet_v2", "expanded_conv_project_BN", "features.1.conv.2"),
        ("mobilenet_v2", "block_16_project", "features.17.conv.2"),
        ("mobilenet_v2", "Conv_1_bn", "features.18.1"),
        (
            "mobilenet_v3_small",
            "expanded_conv_squeeze_excite_conv_1",
            "features.1.block.1.fc2",
        ),
        (
            "mobilenet_v3_large",
            "expanded_conv_2_project_bn",
            "features.3.block.2.1",
        ),
        (
            "mobilenet_v3_large",
            "expanded_conv_14_project",
            "features.15.block.3.0",
        ),
        ("mobilenet_v3_large", "conv_1", "features.16.0"),
        ("efficientnet_b1", "block1b_se_reduce", "features.1.1.block.1.fc1"),
        ("efficientnet_b1", "block2a_bn", "features.2.0.block.1.1"),
        ("efficientnet_b7", "block7d_project_conv", "features.7.3.block.3.0"),
    ],
)
def test_layers_have_the_names_of_torchvision(backbone, layer, module):
    family = families.find_family(backbone)
    assert families.find_module(family, layer) == module
