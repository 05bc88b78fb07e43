import pathlib

import keras
import numpy as np
import pytest

from tf_finetune.weights import file_views, saved_weights


@pytest.fixture(scope="module")
def model():
    images = keras.Input([8, 8, 3])
    x = keras.layers.Conv2D(4, 3, name="conv1_conv")(images)
    return keras.Model(images, keras.layers.BatchNormalization()(x))


def _file(kind, *layers):
    return saved_weights.SavedWeights(
        kind=kind,
        path=pathlib.Path("x"),
        sha256="",
        layers=tuple(
            saved_weights.SavedLayer(
                path=path,
                name=name,
                arrays=tuple(np.zeros(1) for _ in array_names),
                array_names=tuple(array_names),
            )
            for path, name, array_names in layers
        ),
    )


def test_nested_model_of_a_classic_file_is_a_view_of_its_own(model):
    file = _file(
        "classic_h5",
        (
            "wrapped",
            "wrapped",
            [
                "conv1/conv/kernel:0",
                "batch_normalization_7/gamma:0",
                "conv1/conv/bias:0",
                "batch_normalization_7/beta:0",
            ],
        ),
        ("dense", "dense", ["dense/kernel:0"]),
    )
    whole, opened, nested = file_views.iterate_views(file, model)
    assert [each.label for each in whole.entries] == ["wrapped", "dense"]
    assert opened.prefix == ""
    assert len(opened.entries) == 3
    assert nested.prefix == "wrapped"
    # The slash of old names is an underscore now.
    assert nested.entries[0].name == "conv1_conv"
    assert len(nested.entries[0].arrays) == 2
    assert nested.entries[1].name is None
    assert nested.entries[1].kind == ("batch_normalization",)
    assert nested.entries[1].order == (7,)


def test_every_container_of_a_keras3_file_is_a_view(model):
    file = _file(
        "keras3_h5",
        ("layers/dense", "dense", ["0"]),
        ("layers/functional/layers/conv2d", "conv1_conv", ["0"]),
        ("layers/functional/layers/batch_normalization_2", "bn_9", ["0"]),
    )
    found = {
        view.prefix: view for view in file_views.iterate_views(file, model)
    }
    assert list(found) == [
        "layers",
        "layers/functional",
        "layers/functional/layers",
    ]
    inner = found["layers/functional/layers"].entries
    assert [each.kind for each in inner] == [
        ("conv2d",),
        ("batch_normalization",),
    ]
    assert inner[1].order == (2,)


def test_keras3_file_without_names_is_keyed_by_class_or_by_name(model):
    file = _file(
        "keras3_h5",
        ("layers/batch_normalization_3", None, ["0"]),
        ("layers/conv1_conv", None, ["0"]),
    )
    (view,) = file_views.iterate_views(file, model)
    assert [each.name for each in view.entries] == [None, "conv1_conv"]
