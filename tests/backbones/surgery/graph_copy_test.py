"""A network built anew."""

import numpy as np
import pytest

from tf_finetune.backbones.surgery import graph_copy


@pytest.mark.parametrize(
    "name",
    [
        "small_cnn",
        "mobilenet_v3_small",  # Layers that Keras numbers.
        pytest.param("convnext_tiny", marks=pytest.mark.slow),
        pytest.param("densenet121", marks=pytest.mark.slow),
        pytest.param("inception_resnet_v2", marks=pytest.mark.campaign),
        pytest.param("nasnet_mobile", marks=pytest.mark.campaign),
    ],
)
def test_a_copy_computes_the_same_bits_and_shares_nothing(name, make_backbone):
    size = 75 if name == "inception_resnet_v2" else 64
    backbone = make_backbone(name, size)
    again = graph_copy.replace_model(
        backbone, graph_copy.rebuild_model(backbone.model)
    )
    pixels = np.random.default_rng(0).uniform(0, 255, [1, size, size, 3])
    pixels = pixels.astype("float32")
    before = np.asarray(backbone.model(pixels))
    np.testing.assert_array_equal(again.model(pixels), before)
    assert [s.layer_names for s in again.stages] == [
        s.layer_names for s in backbone.stages
    ]
    for variable in again.model.weights:
        variable.assign(variable * 0)
    np.testing.assert_array_equal(backbone.model(pixels), before)
