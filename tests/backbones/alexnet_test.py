"""AlexNet against the facts of the paper and of torchvision."""

import numpy as np

from tf_finetune.backbones import build

# torchvision's documentation; three dense layers of 4096, 4096 and 1000 units
# on 6 x 6 x 256 values.
_TOTAL = 61_100_840
_TOP = 9216 * 4096 + 4096 + 4096 * 4096 + 4096 + 4096 * 1000 + 1000


def test_as_many_parameters_as_torchvision():
    model = build.build("alexnet", image_size=None).model
    assert model.count_params() == _TOTAL - _TOP


def test_feature_maps_are_those_of_the_paper():
    backbone = build.build("alexnet", image_size=224)
    shapes = {s: each.shape[1:] for s, each in backbone.feature_maps.items()}
    assert shapes == {
        4: (55, 55, 64),
        8: (27, 27, 192),
        16: (13, 13, 256),
        32: (6, 6, 256),
    }


def test_pictures_are_padded_by_zeros_on_all_sides():
    model = build.build("alexnet", image_size=63).model
    layer = model.get_layer("conv1")
    kernel = np.zeros(layer.kernel.shape, "float32")
    kernel[0, 0] = 1.0  # What lies two pixels up and left of the window.
    layer.set_weights([kernel, np.zeros(64, "float32")])
    padded = np.ones([1, 67, 67, 3], "float32")
    padded[:, :2] = padded[:, :, :2] = 0.0
    found = np.asarray(layer(padded))
    assert found.shape == (1, 15, 15, 64)
    assert not found[0, 0].any()
    assert not found[0, :, 0].any()
    assert (found[0, 1:, 1:] == 3).all()
