"""Every format proves itself for one backbone of each family."""

import dataclasses
import gc
import pathlib

import keras
import numpy as np
import pytest
from PIL import Image

from tf_finetune import errors, files
from tf_finetune.backbones import catalog as backbones
from tf_finetune.config import model_options, options, picture_options
from tf_finetune.data.images import decoding
from tf_finetune.exports import catalog
from tf_finetune.exports import job as jobs
from tf_finetune.exports.parity import parity_check
from tf_finetune.model import assembly, inference
from tf_finetune.tasks import classification

pytestmark = pytest.mark.slow

_FAMILIES = (
    "alexnet",
    "cifar_resnet20",
    "convnext_tiny",
    "densenet121",
    "efficientnet_b0",
    "efficientnet_v2_b0",
    "googlenet",
    "inception_resnet_v2",
    "inception_v3",
    "mobilenet",
    "mobilenet_v2",
    "mobilenet_v2+torch",
    "mobilenet_v3_small",
    "nasnet_mobile",
    "resnet18",
    "resnet18+se",
    "resnet50",
    "resnet50_v2",
    "small_cnn",
    "vgg16",
    "xception",
)
# Up to a minute a format; the layers that they add to those of the others are
# in the tests of `exports/float32_model.py` and its neighbors.
_IN_CAMPAIGN = {
    "densenet121",
    "efficientnet_v2_b0",
    "inception_resnet_v2",
    "inception_v3",
    "nasnet_mobile",
    "resnet50",
    "resnet50_v2",
    "xception",
}
# A SavedModel takes half a minute; of the networks that are left out here the
# other formats, made of the same frozen graph, are written.
_SERVED = ("convnext_tiny", "efficientnet_b0", "resnet18")
# Of long networks the first stages, which have a layer of each kind; all of it
# is exported in a campaign.
_FIRST_STAGES = {"convnext_tiny": "stage3", "efficientnet_b0": "stage3"}
# Random weights enlarge the rounding of weights more than trained ones do, so
# the formats that round are asked of networks of few layers; what they do to a
# trained network of many is measured in tests/end_to_end/exports_test.py.
_ROUNDED = ("convnext_tiny", "resnet18", "small_cnn", "vgg16")
_QUANTIZED = ("resnet18", "small_cnn")
# A fresh process with Keras takes seven seconds to start, so one network of
# each kind of preprocessing and of each kind of layer that Keras has had
# trouble with; formats with the same layers as others are left to a campaign.
_KERAS = ("convnext_tiny", "efficientnet_b0", "resnet18")
_SAME_LAYERS = {
    ("convnext_tiny", "h5"),
    ("efficientnet_b0", "h5"),
    ("resnet18", "whole_h5"),
}

# Keras does not find the layers of ConvNeXt in a whole-model .h5.
_REFUSED = {("convnext_tiny", "whole_h5")}

_SIGNATURES = {"serving_default", "serve_array", "embed", "classify"}
# How many batch norms are folded: all of MobileNet and ResNet-50, of DenseNet
# those that a convolution stands before; ConvNeXt and VGG have none.
_FOLDED = {
    "convnext_tiny": 0,
    "convnext_tiny:stage3": 0,
    "densenet121": 59,
    "efficientnet_b0": 49,
    "efficientnet_b0:stage3": 16,
    "inception_v3": 94,
    "mobilenet": 27,
    "mobilenet_v2": 52,
    "mobilenet_v3_small": 34,
    "nasnet_mobile": 188,
    "resnet18": 20,
    "resnet50": 53,
    "vgg16": 0,
}

_CLASSES = ("a", "b", "c")


def _networks():
    """Lists families, and what is cut of one as NAME:STAGE."""
    for name in _FAMILIES:
        yield name
        if name in _FIRST_STAGES:
            yield f"{name}:{_FIRST_STAGES[name]}"


def _is_campaign(network, form):
    name, _, stage = network.partition(":")
    return (
        name in _IN_CAMPAIGN
        or (name in _FIRST_STAGES and not stage)
        or (form == "saved_model" and name not in _SERVED)
        or (name, form) in _SAME_LAYERS
    )


def _asked(name):
    formats = ["saved_model", "litert", "onnx"]
    if name in _ROUNDED:
        formats += ["litert_float16"]
    if name in _QUANTIZED:
        formats += ["litert_dynamic", "litert_int8"]
    if name in _KERAS:
        formats += ["keras", "whole_h5", "h5"]
    return formats


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Sixteen pictures of coarse, medium and fine patches of colors."""
    folder = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(0)
    paths = []
    for index in range(16):
        side = (1, 2, 4, 16)[index % 4]
        patches = generator.integers(0, 256, (side, side, 3), dtype="uint8")
        path = folder / f"{index}.png"
        Image.fromarray(patches).resize((80, 80), Image.NEAREST).save(path)
        paths.append(str(path))
    return tuple(paths)


@pytest.fixture(scope="module")
def held():
    """The job of the network that was asked for last, by its name."""
    return {}


@pytest.fixture
def job(request, pictures, held):
    """A network at its smallest size whose head tells the pictures apart."""
    if request.param not in held:
        held.clear()
        gc.collect()
        held[request.param] = _job(request.param, pictures)
    return held[request.param]


def _job(network, pictures):
    name, _, stage = network.partition(":")
    spec, _ = backbones.find_spec(name)
    size = spec.min_image_size
    built = assembly.build_model(
        options.from_keywords(
            model_options.ModelOptions,
            {"backbone": name, "image_size": size, "cut_at": stage or None},
        ),
        classification.TASK,
        _CLASSES,
        seed=0,
    )
    images = np.stack(
        [
            np.asarray(decoding.load_file(p, picture_options.Square(size)))
            for p in pictures
        ]
    )
    _settle(built.model, images)
    _spread(built, images)
    probabilities = inference.predict(built.model, [images])
    # Otherwise everything would look equal to everything.
    assert np.ptp(probabilities, axis=0).max() > 0.15
    return parity_check.measure_rounding(
        jobs.ExportJob(
            task="classification",
            model=built.model,
            class_names=_CLASSES,
            image_size=size,
            resize="squash",
            destination=pathlib.Path(network),
            proof=jobs.ParityReference(
                paths=pictures, predictions=probabilities
            ),
            calibration=pictures,
            # What a server is told is measured elsewhere.
            measuring_seconds=0.0,
        )
    )


def _settle(model, images):
    """Gives batch norms the statistics of the pictures, as training does.

    With those of a fresh network what comes out of some is all but constant.
    And lets the blocks of ConvNeXt count, which at first are a millionth.
    """
    for layer in model.layers:
        if type(layer).__name__ == "LayerScale":
            layer.gamma.assign(0.1 * np.ones(layer.gamma.shape))
    norms = [
        layer
        for layer in model.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0
    model(images, training=True)
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum


def _spread(built, images):
    """Sets the head so that logits have a standard deviation of 0.4."""
    features = built.extractor.predict_on_batch(images).astype("float64")
    centered = features - features.mean(axis=0)
    kernel, bias = built.head.layers[-1].get_weights()
    directions = np.random.default_rng(2).normal(size=kernel.shape)
    directions *= 0.4 / (centered @ directions).std(axis=0)
    built.head.layers[-1].set_weights(
        [directions, -features.mean(axis=0) @ directions]
    )


@pytest.mark.parametrize(
    ("job", "form"),
    [
        pytest.param(
            network,
            form,
            marks=[pytest.mark.campaign] * _is_campaign(network, form),
        )
        for network in _networks()
        for form in _asked(network.partition(":")[0])
    ],
    indirect=["job"],
)
def test_every_format_is_proven(job, form, tmp_path):
    network = job.destination.name
    name = network.partition(":")[0]
    write = catalog.EXPORTS.get(form)
    place = dataclasses.replace(job, destination=tmp_path)

    if (name, form) in _REFUSED:
        with pytest.raises(errors.RunError, match="--format="):
            write(place)
        return
    written = write(place)

    figures = files.read_json(tmp_path / "parity.json")[written.name]
    assert figures["pictures"] == len(job.proof.paths)
    if form == "saved_model":
        assert set(figures) >= _SIGNATURES
        folded = figures["batch_norms_folded"]
        assert folded == _FOLDED.get(network, folded)
