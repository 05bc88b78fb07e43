import pathlib

import keras
import numpy as np
import pytest

from tf_finetune.weights import (
    file_views,
    loading,
    saved_weights,
    weight_merge,
    weights_file,
)


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


_TODAY = {
    "res2a_branch2a": "conv2_block1_1_conv",
    "bn2a_branch2a": "conv2_block1_1_bn",
    "res2c_branch2c": "conv2_block3_3_conv",
    "res3a_branch1": "conv3_block1_0_conv",
    "bn5c_branch2b": "conv5_block3_2_bn",
    "res4b22_branch2a": "conv4_block23_1_conv",
    "bn3b1_branch2c": "conv3_block2_3_bn",
    "conv1": "conv1_conv",
    "bn_conv1": "conv1_bn",
    "convolution2d_7": "conv2d_7",
    "batchnormalization_1": "batch_normalization_1",
}


def test_names_of_old_networks_are_todays():
    assert file_views.translate_names(_TODAY) == _TODAY


def test_conv1_alone_keeps_its_name():
    assert file_views.translate_names(["conv1", "conv1_bn", "conv_dw_1"]) == {}


def test_translated_names_are_those_of_the_backbone():
    from tf_finetune.backbones import build

    model = build.build("resnet50", image_size=32).model
    names = {layer.name for layer in model.layers}
    old = [name for name in _TODAY if "branch" in name and "22" not in name]
    assert set(file_views.translate_names(old).values()) <= names


def _block(names, *, epsilon):
    """A projection and two convolutions, one after the other or not."""
    conv, norm = names
    images = keras.Input([8, 8, 3])

    def add(x, branch):
        x = keras.layers.Conv2D(4, 1, name=conv[branch])(x)
        return keras.layers.BatchNormalization(
            epsilon=epsilon, name=norm[branch]
        )(x)

    y = add(add(images, "2a"), "2b")
    return keras.Model(images, keras.layers.Add()([add(images, "1"), y]))


def _ours():
    numbers = {"1": 0, "2a": 1, "2b": 2}
    return _block(
        [
            {b: f"conv2_block1_{n}_{end}" for b, n in numbers.items()}
            for end in ("conv", "bn")
        ],
        epsilon=1.001e-5,
    )


def _theirs():
    return _block(
        [
            {b: f"{kind}2a_branch{b}" for b in ("1", "2a", "2b")}
            for kind in ("res", "bn")
        ],
        epsilon=1e-3,
    )


def _settle(model):
    random = np.random.default_rng(0)
    model.set_weights(
        [random.uniform(2e-3, 0.2, w.shape) for w in model.get_weights()]
    )
    return model


@pytest.mark.parametrize("suffix", [".keras", ".h5", ".weights.h5"])
def test_an_old_resnet_computes_what_it_did(tmp_path, make_backbone, suffix):
    theirs, ours = _settle(_theirs()), _ours()
    path = tmp_path / f"x{suffix}"
    # Without a config its epsilon is that of its time.
    (theirs.save_weights if "weights" in suffix else theirs.save)(path)
    report = loading.load(make_backbone(ours), str(path)).report
    assert report.complete
    pixels = np.random.default_rng(1).uniform(0, 9, (2, 8, 8, 3)).astype("f4")
    np.testing.assert_allclose(
        ours(pixels, training=False),
        theirs(pixels, training=False),
        rtol=1e-4,
        atol=1e-4,
    )


def test_scales_behind_norms_go_into_them(tmp_path, write_classic):
    ones = np.ones(4, "f4")
    norm = [2 * ones, 3 * ones, 5 * ones, 7 * ones]
    layers = {}
    for branch, width in (("1", 3), ("2a", 3), ("2b", 4)):
        layers[f"res2a_branch{branch}"] = {
            "kernel": np.ones((1, 1, width, 4), "f4"),
            "bias": 0 * ones,
        }
        layers[f"bn2a_branch{branch}"] = {str(i): a for i, a in enumerate(norm)}
        layers[f"scale2a_branch{branch}"] = {"g": 10 * ones, "b": ones}
    path = write_classic(tmp_path / "x.h5", layers)
    ours = _ours()
    assert weight_merge.merge(ours, weights_file.read_weights(path)).complete
    gamma, beta, mean, variance = ours.get_layer(
        "conv2_block1_1_bn"
    ).get_weights()
    np.testing.assert_allclose(beta, 3 * 10 + 1)
    np.testing.assert_allclose(mean, 5)
    # γ of the file's epsilon, 1.1e-5, and the model's.
    expected = 20 / np.sqrt(variance + 1.1e-5)
    np.testing.assert_allclose(
        gamma / np.sqrt(variance + 1.001e-5), expected, rtol=1e-5
    )
