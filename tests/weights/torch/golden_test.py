"""Features of torchvision's networks, with random weights and statistics."""

import dataclasses
import pathlib

import numpy as np
import pytest
import torch_golden as golden

from tf_finetune import errors
from tf_finetune.backbones import build, catalog, torch_names
from tf_finetune.weights.torch import families, matching, reader

_QUICK = ("cifar_resnet20", "resnet18", "mobilenet_v2", "alexnet")
# Larger members of a family, compared in a campaign: more layers of the kinds
# of the smaller ones, by the same rules of names.
_LARGER = (
    *(f"efficientnet_b{number}" for number in range(2, 8)),
    *("convnext_base", "convnext_large", "convnext_small"),
    *("densenet169", "densenet201", "resnet101", "resnet152", "vgg19"),
)
_TOLERANCE = 1e-5  # Of the largest feature.
_NAMES = sorted(path.stem for path in golden.FOLDER.glob("*.json"))
# Whose wrong rules are noticed in a campaign.
_LONG = ("densenet121", "inception_v3", "vgg16")


def _compute_error(model, name, vector):
    """Returns the largest difference of the stored features, relative."""
    file = reader.StateDict(
        path=pathlib.Path(f"{name}.pth"),
        sha256="",
        arrays=golden.fill_arrays(vector["arrays"], vector["gain"]),
    )
    match = matching.match_arrays(model, families.find_family(name), file)
    for variable, value in match.values:
        variable.assign(value)
    image = golden.draw_image(vector["side"])[None]
    features = np.asarray(model(image, training=False))[0]
    assert list(features.shape) == vector["shape"]
    places = golden.choose_positions(features.size)
    found = features.ravel()[places].astype("float64")
    difference = np.abs(found - np.array(vector["values"])).max()
    return difference / vector["largest"]


def _build(name, side):
    full = torch_names.find_torch_name(name) or name
    return build.build(full, image_size=side).model


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name,
            marks=[pytest.mark.slow] * (name not in _QUICK)
            + [pytest.mark.campaign] * (name in _LARGER),
        )
        for name in _NAMES
    ],
)
def test_features_are_those_of_torchvision(name):
    vector = golden.read_vector(name)
    model = _build(name, vector["side"])
    assert _compute_error(model, name, vector) <= _TOLERANCE


def _mark_slow(name, **changes):
    marks = [pytest.mark.slow] * (name not in _QUICK)
    marks += [pytest.mark.campaign] * (name in _LONG)
    words = ",".join(f"{key}={value}" for key, value in changes.items())
    return pytest.param(name, changes, id=f"{name}-{words}", marks=marks)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        _mark_slow("mobilenet_v2", pads_both_sides=False),
        _mark_slow("mobilenet_v2", epsilon=None),
        _mark_slow("mobilenet_v2", preprocessing="tf"),
        _mark_slow("mobilenet_v2", preprocessing="caffe"),
        _mark_slow("mobilenet_v3_small", pads_both_sides=False),
        _mark_slow("mobilenet_v3_small", epsilon=1e-5),
        _mark_slow("mobilenet_v3_small", preprocessing="tf"),
        _mark_slow("efficientnet_b0", pads_both_sides=False),
        _mark_slow("efficientnet_b0", epsilon=None),
        _mark_slow("efficientnet_b0", preprocessing="tf"),
        _mark_slow("resnet50", strides_in_3x3=False),
        _mark_slow("resnet50", drops_biases=False),
        _mark_slow("resnet50", preprocessing="caffe"),
        _mark_slow("resnet50", epsilon=1e-3),
        _mark_slow("densenet121", epsilon=1e-3),
        _mark_slow("inception_v3", norms_scale=False),
        _mark_slow("inception_v3", pools_padding=False),
        _mark_slow("inception_v3", epsilon=1e-5),
        _mark_slow("inception_v3", preprocessing="torch"),
        _mark_slow("googlenet", preprocessing="torch"),
        _mark_slow("vgg16", preprocessing="caffe"),
    ],
)
def test_wrong_rule_is_noticed(name, changes):
    vector = golden.read_vector(name)
    spec, alpha = catalog.find_spec(f"{name}+torch")
    rules = dataclasses.replace(spec.torch_rules, **changes)
    wrong = dataclasses.replace(
        spec, torch_rules=rules, preprocessing=rules.preprocessing
    )
    model = build.build_spec(
        wrong, alpha=alpha, image_size=vector["side"]
    ).model
    try:
        difference = _compute_error(model, name, vector)
    except errors.RunError:
        return  # Arrays are left over or missing.
    assert difference > 10 * _TOLERANCE


@pytest.mark.parametrize(
    "name",
    [
        "mobilenet_v2",
        *(
            pytest.param(each, marks=pytest.mark.slow)
            for each in ("efficientnet_b0", "resnet50", "inception_v3")
        ),
    ],
)
def test_graph_of_keras_is_another_one(name):
    vector = golden.read_vector(name)
    model = build.build(name, image_size=vector["side"]).model
    try:
        difference = _compute_error(model, name, vector)
    except errors.RunError:
        return  # Biases or the mean of the pictures have no arrays.
    assert difference > 10 * _TOLERANCE
