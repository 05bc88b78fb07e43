"""What every backbone of the registry promises."""

import gc
import importlib.resources
import math
import sys

import keras
import numpy as np
import pytest
from keras.src.utils import file_utils

from tf_finetune.backbones import build, catalog

_FAST = {
    "alexnet",
    "convnext_tiny",
    "efficientnet_b0",
    "efficientnet_lite0",
    "googlenet",
    "mobilenet",
    "mobilenet_v3_small",
    "resnet18",
    "small_cnn",
    "vgg16",
}
# One a family: Keras writes a network layer by layer.
_SAVED = _FAST - {"vgg16"} | {
    "densenet121",
    "efficientnet_v2_b0",
    "inception_resnet_v2",
    "inception_v3",
    "mobilenet_v2",
    "nasnet_mobile",
    "resnet50",
    "resnet50_v2",
    "xception",
}
# Their first convolutions do not pad, so that pictures lose a few pixels more.
_UNPADDED = {
    "alexnet",
    "inception_resnet_v2",
    "inception_v3",
    "nasnet_large",
    "nasnet_mobile",
    "xception",
}
# Of networks that Keras lacks; "in_graph" for one that scales its input.
_MODES = {
    "alexnet": "torch",
    **{f"efficientnet_lite{number}": "lite" for number in range(5)},
    "googlenet": "torch",
    "resnet18": "torch",
    "resnet34": "torch",
    "small_cnn": "tf",
}


_QUICK = ("resnet18", "small_cnn")
# One a family, and those that differ from it in more than their size; the
# larger ones, up to 1.4 GB of weights, are built in a campaign.
_TOLD_APART = (
    _SAVED
    | {"efficientnet_b1", "efficientnet_v2_s", "mobilenet_v3_large"}
    | {"resnet34", "vgg16"}
)


def _marked(names):
    return [
        pytest.param(
            name,
            marks=[pytest.mark.quick] * (name in _QUICK)
            + [pytest.mark.campaign] * (name not in _TOLD_APART),
        )
        for name in names
    ]


def _build(name, *, larger=0):
    spec, _ = catalog.find_spec(name)
    return build.build(name, image_size=spec.min_image_size + larger)


@pytest.fixture(scope="module", params=_marked(catalog.BACKBONES.names()))
def backbone(request):
    """Each backbone at the smallest size it says it can be built with."""
    yield _build(request.param)
    gc.collect()


@pytest.fixture(scope="module")
def features(backbone):
    """What each backbone makes of one picture."""
    return np.asarray(backbone.model(_pixels(backbone), training=False))


def _pixels(backbone, count=1):
    shape = (count, backbone.image_size, backbone.image_size, 3)
    return np.random.default_rng(0).uniform(0, 255, shape).astype("float32")


def _constructor(name):
    """Finds what keras.applications calls `name`; None if it lacks it."""
    for each in dir(keras.applications):
        # The capital keeps the modules (keras.applications.mobilenet) out.
        if each[0].isupper() and each.lower() == name.replace("_", ""):
            return getattr(keras.applications, each)
    return None


def _keras_preprocessing(name, pixels):
    constructor = _constructor(name)
    if _MODES.get(name) == "in_graph":
        return pixels
    if _MODES.get(name) == "lite":
        return (pixels - 127) / 128
    if constructor is None:
        return keras.applications.imagenet_utils.preprocess_input(
            pixels.copy(), mode=_MODES[name]
        )
    module = sys.modules[constructor.__module__]
    return module.preprocess_input(pixels.copy())


def test_takes_pictures_and_gives_its_last_feature_map(backbone, features):
    size = backbone.spec.min_image_size
    (images,) = backbone.model.inputs
    assert images.shape == (None, size, size, 3)
    assert images.dtype == "float32"
    (output,) = backbone.model.outputs
    assert list(backbone.feature_maps.values())[-1] is output
    assert features.shape[1:] == output.shape[1:]
    assert np.all(np.isfinite(features))
    assert features.std() > 0


def test_strides_are_true(backbone):
    name = backbone.spec.name
    strides = list(backbone.feature_maps)
    assert strides == sorted(strides)
    sizes = {s: each.shape[1:3] for s, each in backbone.feature_maps.items()}
    if name not in _UNPADDED:
        expected = {s: (math.ceil(backbone.image_size / s),) * 2 for s in sizes}
        assert sizes == expected
        return
    for stride, map_ in _build(name, larger=64).feature_maps.items():
        grown = map_.shape[1] - sizes[stride][0]
        assert grown * stride == 64


def test_stages_partition_the_layers(backbone):
    names = [name for stage in backbone.stages for name in stage.layer_names]
    assert len(names) == len(set(names))
    assert set(names) == {layer.name for layer in backbone.model.layers}


def test_a_stage_is_what_its_feature_map_adds(backbone):
    assert [stage.stride for stage in backbone.stages] == list(
        backbone.feature_maps
    )
    so_far = set()
    for stage in backbone.stages:
        assert stage.name == f"stage{int(math.log2(stage.stride))}"
        so_far |= set(stage.layer_names)
        upto = keras.Model(
            backbone.model.inputs, backbone.feature_maps[stage.stride]
        )
        assert {layer.name for layer in upto.layers} == so_far


def test_preprocessing_is_that_of_keras(backbone):
    pixels = _pixels(backbone)
    expected = _keras_preprocessing(backbone.spec.name, pixels)
    if backbone.spec.preprocessing == "in_graph":
        np.testing.assert_array_equal(expected, pixels)
        scaled = np.asarray(_behind_scaling(backbone.model)(pixels))
        assert np.abs(scaled).max() < 3
        return
    inside = keras.Model(
        backbone.model.inputs[0],
        backbone.model.get_layer("preprocess").output,
    )
    np.testing.assert_allclose(inside(pixels), expected, rtol=1e-4, atol=1e-4)


def _behind_scaling(model):
    """Returns the model up to its last leading layer that only scales."""
    tensor = model.inputs[0]
    for operation in model.operations[1:]:
        scales = isinstance(
            operation, keras.layers.Rescaling | keras.layers.Normalization
        )
        if not scales:
            break
        tensor = operation.output
    assert tensor is not model.inputs[0]
    return keras.Model(model.inputs[0], tensor)


def test_saved_and_read_it_gives_the_same_numbers(backbone, features, tmp_path):
    if backbone.spec.name not in _SAVED:
        pytest.skip("its layers are those of a smaller one of its family")
    backbone.model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    (tmp_path / "model.keras").unlink()
    np.testing.assert_array_equal(
        loaded(_pixels(backbone), training=False), features
    )


@pytest.mark.parametrize(
    "name", sorted(each for each in _FAST if _constructor(each))
)
def test_computes_what_keras_computes(name):
    ours = _build(name, larger=16)
    size = ours.image_size
    theirs = _constructor(name)(
        include_top=False, weights=None, input_shape=(size, size, 3)
    )
    theirs.set_weights(ours.model.get_weights())
    pixels = _pixels(ours, count=2)
    expected = theirs(_keras_preprocessing(name, pixels), training=False)
    features = ours.model(pixels, training=False)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(features / scale, expected / scale, atol=1e-4)


class _Asked(Exception):
    """Keras wants a file of weights."""


@pytest.mark.filterwarnings("ignore:`input_shape` is undefined")
@pytest.mark.parametrize(
    "name",
    _marked(n for n in catalog.BACKBONES.names() if _constructor(n)),
)
def test_weights_lie_where_keras_looks_for_them(name, monkeypatch):
    def get_file(fname, origin, file_hash=None, **_):
        raise _Asked(origin, file_hash)

    monkeypatch.setattr(file_utils, "get_file", get_file)
    with pytest.raises(_Asked) as asked:
        _constructor(name)(include_top=False, weights="imagenet")
    url, digest = asked.value.args
    spec, _ = catalog.find_spec(name)
    ours = spec.weights_url.format(alpha=1.0, tenths="1_0", size=224)
    assert ours == url
    if spec.weights_hash is None:
        assert digest is None
    else:
        assert len(spec.weights_hash) == 8
        assert digest.startswith(spec.weights_hash)


@pytest.mark.parametrize(
    "name",
    [n for n in catalog.BACKBONES.names() if catalog.find_spec(n)[0].alphas],
)
def test_wider_has_more_parameters(name):
    spec, _ = catalog.find_spec(name)
    counts = [
        _build(f"{name}@{alpha:g}").model.count_params()
        for alpha in spec.alphas
    ]
    assert counts == sorted(set(counts))
    assert _build(name).alpha == 1.0


def test_every_bundled_file_is_in_the_package():
    folder = importlib.resources.files("tf_finetune.backbones") / "assets"
    files = [
        file
        for name in catalog.BACKBONES.names()
        for _, file in catalog.find_spec(name)[0].bundled_weights
    ]
    assert files
    assert all((folder / file).is_file() for file in files)
