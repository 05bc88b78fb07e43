"""EfficientNet-Lite against the facts of the paper and of published files."""

import keras
import numpy as np
import pytest

from tf_finetune.backbones import build, efficientnet_lite


def _network(name, size=32):
    return build.build(name, image_size=size)


@pytest.mark.parametrize(
    ("number", "parameters"),
    # Trainable, without the dense layer of 1280 to 1000; counted in the
    # published files of 0 and 2.
    [(0, 4_652_008), (2, 6_092_072)],
)
def test_as_many_parameters_as_the_published_files(number, parameters):
    model = _network(f"efficientnet_lite{number}").model
    count = sum(np.prod(each.shape) for each in model.trainable_variables)
    assert count == parameters - 1_281_000


def test_stages_are_as_wide_as_the_paper_says():
    model = _network("efficientnet_lite0", 224).model
    # Table 1: size and width of what comes out.
    expected = {
        "stem_relu": (112, 32),
        "block1a_project_bn": (112, 16),
        "block2b_add": (56, 24),
        "block3b_add": (28, 40),
        "block4c_add": (14, 80),
        "block5c_add": (14, 112),
        "block6d_add": (7, 192),
        "block7a_project_bn": (7, 320),
        "top_relu": (7, 1280),
    }
    found = {
        name: (shape[1], shape[3])
        for name in expected
        if (shape := model.get_layer(name).output.shape)
    }
    assert found == expected


@pytest.mark.parametrize(
    ("width", "depth", "channels", "repeats"),
    [
        (1.0, 1.1, [16, 24, 40, 80, 112, 192, 320], [1, 3, 3, 4, 4, 5, 1]),
        (1.1, 1.2, [16, 24, 48, 88, 120, 208, 352], [1, 3, 3, 4, 4, 5, 1]),
        (1.2, 1.4, [24, 32, 48, 96, 136, 232, 384], [1, 3, 3, 5, 5, 6, 1]),
        (1.4, 1.8, [24, 32, 56, 112, 160, 272, 448], [1, 4, 4, 6, 6, 8, 1]),
    ],
)
def test_scaling_of_the_larger_ones(width, depth, channels, repeats):
    blocks = efficientnet_lite.list_blocks(width=width, depth=depth)
    numbers = [int(block.name[5]) for block in blocks]
    assert [numbers.count(stage) for stage in range(1, 8)] == repeats
    firsts = [block for block in blocks if block.name.endswith("a")]
    assert [block.channels for block in firsts] == channels


def test_stages_end_with_the_last_activation_of_their_resolution():
    backbone = _network("efficientnet_lite0", 64)
    named = {
        stride: next(
            layer.name
            for layer in backbone.model.layers
            if layer.output is tensor
        )
        for stride, tensor in backbone.feature_maps.items()
    }
    assert named == {
        2: "block2a_expand_relu",
        4: "block3a_expand_relu",
        8: "block4a_expand_relu",
        16: "block6a_expand_relu",
        32: "top_relu",
    }


def test_layers_are_those_of_networks_for_quantized_inference():
    layers = _network("efficientnet_lite1").model.layers
    relus = [x for x in layers if isinstance(x, keras.layers.ReLU)]
    assert {each.max_value for each in relus} == {6.0}
    assert not any(isinstance(x, keras.layers.Activation) for x in layers)
    assert not any(isinstance(x, keras.layers.Multiply) for x in layers)
    norms = [
        x for x in layers if isinstance(x, keras.layers.BatchNormalization)
    ]
    assert {(each.momentum, each.epsilon) for each in norms} == {(0.99, 1e-3)}
