"""What every decoder promises, over one backbone a family."""

import gc

import keras
import numpy as np
import pytest

from tf_finetune import errors
from tf_finetune.backbones import build
from tf_finetune.config import model_options
from tf_finetune.heads import catalog as heads

_DECODERS = ("fcn_32s", "fcn_16s", "fcn_8s", "deeplab_v3_plus", "unet")
# 72 is no multiple of 32 and 16; Inception, NASNet and Xception do not pad.
_QUICK = ("small_cnn", 41)
_OTHERS = {
    "mobilenet_v2@0.35": 72,
    "vgg16": 72,
    "convnext_tiny": 64,
    "densenet121": 72,
    "efficientnet_b0": 72,
    "efficientnet_lite0": 72,
    "inception_v3": 90,
    "mobilenet_v3_small": 72,
    "nasnet_mobile": 72,
    "resnet50_v2": 72,
    "xception": 90,
}
# Their poolings cannot be dilated.
_NO_DILATION = {"inception_v3", "nasnet_mobile"}
# All decoders are asked of a network of each padding. Of the others the one
# that is dilated and the one that takes every feature map: those left out take
# fewer, with the same blocks.
_ALL_DECODERS = {"small_cnn", "mobilenet_v2@0.35", "inception_v3"}
_TELLING = {"deeplab_v3_plus", "unet"}


def _pairs():
    return [
        pytest.param(
            (name, size),
            decoder,
            id=f"{name}-{decoder}",
            marks=[pytest.mark.quick] * ((name, size) == _QUICK)
            + [pytest.mark.campaign]
            * (name not in _ALL_DECODERS and decoder not in _TELLING),
        )
        for name, size in (_QUICK, *_OTHERS.items())
        for decoder in _DECODERS
    ]


@pytest.fixture(scope="module")
def held():
    """The backbone that was asked for last, by its name and size."""
    return {}


@pytest.fixture
def backbone(request, held):
    if request.param not in held:
        held.clear()
        gc.collect()
        name, size = request.param
        held[request.param] = build.build(name, image_size=size)
    return held[request.param]


def _head(name, backbone, **options):
    options = {"head_units": 8, **options}
    return heads.HEADS.get(name)(
        backbone, model_options.ModelOptions(**options), 3
    )


@pytest.mark.parametrize(("backbone", "name"), _pairs(), indirect=["backbone"])
def test_every_pixel_has_finite_logits_from_its_inputs_alone(name, backbone):
    if name == "deeplab_v3_plus" and backbone.spec.name in _NO_DILATION:
        with pytest.raises(errors.UsageError, match="--output_stride=16"):
            _head(name, backbone)
        return
    head = _head(name, backbone)
    _check_inputs(head)
    size = backbone.image_size
    assert head.logits.shape == (None, size, size, 3)
    assert head.logits.dtype == "float32"
    model = keras.Model(head.backbone.model.inputs[0], head.logits)
    pixels = np.random.default_rng(0).uniform(0, 255, [1, size, size, 3])
    assert np.isfinite(model(pixels.astype("float32"), training=False)).all()


def _check_inputs(head):
    top = keras.Model(list(head.inputs), head.logits)
    below = {layer.name for layer in head.backbone.model.layers}
    names = [
        layer.name
        for layer in top.layers
        if not isinstance(layer, keras.layers.InputLayer)
    ]
    assert len(names) == len(set(names))
    assert not below & set(names)
    assert names[-1] == "logits"
