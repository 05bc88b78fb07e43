"""From a name to a network that takes RGB 0..255."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from tf_finetune import errors
from tf_finetune.backbones import build

_THEIRS = """
import keras
from tf_finetune.backbones import backbone

def net(image_tensor, alpha=1.0):
    x = keras.layers.Conv2D(int(4 * alpha), 3, 2, "same")(image_tensor)
    return keras.Model(keras.utils.get_source_inputs(image_tensor), x)

def spec(preprocessing, alphas=()):
    return backbone.BackboneSpec(
        name="theirs", builder="their_networks:net", image_size=8,
        min_image_size=4, preprocessing=preprocessing, alphas=alphas)

TF, TORCH, CAFFE = spec("tf"), spec("torch"), spec("caffe")
WIDE = spec("tf", (1.0, 2.0))
"""

# Stands for a user without this package.
_PLAIN_KERAS = """
import sys
sys.modules["tf_finetune"] = None
import keras, numpy as np
for path in sys.argv[1:]:
    model = keras.saving.load_model(path)
    inputs = np.load(path + ".inputs.npy")
    np.save(path + ".outputs.npy", model.predict(inputs, verbose=0))
"""


@pytest.fixture
def theirs(tmp_path, monkeypatch):
    """An importable module with a tiny network, in each preprocessing."""
    (tmp_path / "their_networks.py").write_text(_THEIRS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "their_networks", raising=False)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("tf", [1.0, -1.0, 127 / 127.5 - 1]),
        (
            "torch",
            [
                (1 - 0.485) / 0.229,
                -0.456 / 0.224,
                (127 / 255 - 0.406) / 0.225,
            ],
        ),
        ("caffe", [127 - 103.939, 0 - 116.779, 255 - 123.68]),
        ("in_graph", [255.0, 0.0, 127.0]),
    ],
)
@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_preprocessing_of_a_pixel(kind, expected, policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        images = keras.Input([1, 1, 3], dtype="float32")
        model = keras.Model(images, build.add_preprocessing(images, kind))
    finally:
        keras.config.set_dtype_policy(before)
    pixel = np.array([[[[255.0, 0.0, 127.0]]]], "float32")
    found = np.asarray(model(pixel))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0, 0, 0], expected, rtol=1e-5, atol=1e-5)


def test_the_size_is_its_own_where_none_is_asked_for():
    assert build.build("small_cnn", image_size=None).image_size == 32
    assert build.build("small_cnn", image_size=48).image_size == 48


@pytest.mark.parametrize("size", [0, 31, -224])
def test_too_small_a_picture_is_refused_with_the_numbers(size):
    with pytest.raises(errors.UsageError) as raised:
        build.build("mobilenet@0.25", image_size=size)
    message = str(raised.value)
    assert f"--image_size={size} is too small for mobilenet@0.25" in message
    assert "32" in message


def test_alpha_is_the_width():
    narrow = build.build("mobilenet@0.25", image_size=32)
    assert narrow.alpha == 0.25
    assert narrow.model.output.shape[-1] == 256  # A quarter of 1024.


def test_the_graph_is_flat():
    model = build.build("mobilenet_v2", image_size=32).model
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    assert [layer.name for layer in model.layers[:3]] == [
        "images",
        "preprocess",
        "Conv1",
    ]


@pytest.mark.usefixtures("theirs")
def test_a_network_of_the_users_own():
    backbone = build.build("their_networks:WIDE@2", image_size=None)
    assert backbone.image_size == 8
    assert list(backbone.feature_maps) == [2]
    assert backbone.feature_maps[2].shape == (None, 4, 4, 8)


@pytest.mark.usefixtures("theirs")
def test_plain_keras_reads_what_is_saved(tmp_path):
    paths, expected = [], []
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 8, 8, 3))
    for kind in ("TF", "TORCH", "CAFFE"):
        model = build.build(f"their_networks:{kind}", image_size=None).model
        paths.append(str(tmp_path / f"{kind}.keras"))
        model.save(paths[-1])
        np.save(paths[-1] + ".inputs.npy", pixels.astype("float32"))
        expected.append(model.predict(pixels.astype("float32"), verbose=0))
    done = subprocess.run(
        [sys.executable, "-c", _PLAIN_KERAS, *paths],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for path, features in zip(paths, expected, strict=True):
        found = np.load(path + ".outputs.npy")
        np.testing.assert_allclose(found, features, rtol=1e-6)
