"""GoogLeNet against the facts of the paper and of torchvision."""

import keras
import numpy as np

from tf_finetune.backbones import build


def _network(size):
    return build.build("googlenet", image_size=size)


def test_as_many_parameters_as_torchvision():
    model = _network(32).model
    count = sum(np.prod(each.shape) for each in model.trainable_variables)
    # torchvision's documentation, less a dense layer of 1024 to 1000.
    assert count == 6_624_904 - 1_025_000


def test_blocks_are_as_wide_as_the_paper_says():
    model = _network(224).model
    # Table 1: size and width of what comes out.
    expected = {
        "conv1_relu": (112, 64),
        "pool1": (56, 64),
        "conv3_relu": (56, 192),
        "pool2": (28, 192),
        "inception3a_out": (28, 256),
        "inception3b_out": (28, 480),
        "pool3": (14, 480),
        "inception4a_out": (14, 512),
        "inception4b_out": (14, 512),
        "inception4c_out": (14, 512),
        "inception4d_out": (14, 528),
        "inception4e_out": (14, 832),
        "pool4": (7, 832),
        "inception5a_out": (7, 832),
        "inception5b_out": (7, 1024),
    }
    found = {
        name: (shape[1], shape[3])
        for name in expected
        if (shape := model.get_layer(name).output.shape)
    }
    assert found == expected


def test_stages_end_with_the_last_block_of_their_resolution():
    backbone = _network(64)
    maps = backbone.feature_maps
    named = {
        stride: next(
            layer.name
            for layer in backbone.model.layers
            if layer.output is tensor
        )
        for stride, tensor in maps.items()
    }
    assert named == {
        2: "conv1_relu",
        4: "conv3_relu",
        8: "inception3b_out",
        16: "inception4e_out",
        32: "inception5b_out",
    }


def test_every_convolution_is_normalized():
    layers = _network(32).model.layers
    convolutions = [x for x in layers if isinstance(x, keras.layers.Conv2D)]
    norms = [
        x for x in layers if isinstance(x, keras.layers.BatchNormalization)
    ]
    # Three before the blocks, six in each of the nine.
    assert len(convolutions) == len(norms) == 57
    assert not any(layer.use_bias for layer in convolutions)
    assert {(each.momentum, each.epsilon) for each in norms} == {(0.9, 1e-3)}
