"""What a file does to pictures itself is done to them here as well."""

import keras
import numpy as np
import pytest

from tf_finetune import errors
from tf_finetune.untrusted import keras_files
from tf_finetune.weights import loading, preprocessing

_MEAN = [0.485, 0.456, 0.406]
_STDDEV = [0.229, 0.224, 0.225]


def _body(x):
    """A padded stem, so that an offset cannot hide in a bias."""
    x = keras.layers.ZeroPadding2D(1)(x)
    x = keras.layers.Conv2D(4, 3, strides=2, name="stem")(x)
    x = keras.layers.BatchNormalization(name="stem_bn")(x)
    x = keras.layers.ReLU()(x)
    x = keras.layers.Conv2D(5, 3, padding="same", name="last")(x)
    return keras.layers.BatchNormalization(name="last_bn")(x)


def _network():
    images = keras.Input([16, 16, 3])
    return keras.Model(images, _body(images), name="network")


@pytest.fixture
def backbone(make_backbone):
    images = keras.Input([16, 16, 3])
    x = keras.layers.Rescaling(1 / 127.5, -1.0, name="preprocess")(images)
    return make_backbone(keras.Model(images, _body(x)))


def _adapted():
    layer = keras.layers.Normalization()
    pixels = np.random.default_rng(3).uniform(0, 255, (4, 16, 16, 3))
    layer.adapt(pixels * [1, 0.5, 0.2])
    return layer


def _settled_norm(images):
    layer = keras.layers.BatchNormalization(epsilon=0.01)
    x = layer(images)
    values = [[1, 2, 0.5], [0, 0.1, -0.3], [120, 110, 90], [900, 4000, 50]]
    layer.set_weights([np.float32(each) for each in values])
    return x


def _swap(images):
    return keras.ops.stack([images[..., 2 - i] for i in range(3)], axis=-1)


_WAYS = {
    "unit": lambda x: keras.layers.Rescaling(1 / 255)(x),
    "usual": lambda x: keras.layers.Rescaling(1 / 127.5, -1)(x),
    "per_channel": lambda x: keras.layers.Rescaling(
        [0.01, 0.02, 0.03], [-1, 0.5, 2]
    )(x),
    "adapted": lambda x: _adapted()(x),
    "constants": lambda x: keras.layers.Normalization(
        mean=[100, 110, 120], variance=[900, 400, 2500]
    )(x),
    "chain": lambda x: keras.layers.Rescaling(2, 1)(
        _adapted()(keras.layers.Rescaling(0.5)(x))
    ),
    "operations": lambda x: x / 255 * 2 - 0.5,
    "numpy": lambda x: (x / 255 - np.float32(_MEAN)) / np.float32(_STDDEV),
    "gray": lambda x: (
        keras.ops.mean(x, axis=-1, keepdims=True)
        * np.float32([0.01, 0.02, 0.03])
    ),
    "caffe": lambda x: _swap(x) - np.float32([103.9, 116.8, 123.7]),
    "norm": _settled_norm,
    "mixed": lambda x: keras.layers.Conv2D(3, 1)(x / 255),
    "augmented": lambda x: keras.layers.Rescaling(1 / 255)(
        keras.Sequential(
            [keras.layers.RandomFlip(), keras.layers.RandomRotation(0.1)]
        )(x)
    ),
    "resized": lambda x: keras.layers.Rescaling(1 / 255)(
        keras.layers.Resizing(16, 16)(x)
    ),
}


def _pixels():
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 16, 16, 3))
    return pixels.astype("f4")


def _assert_same(backbone, whole):
    expected = np.asarray(whole(_pixels(), training=False))
    found = np.asarray(backbone.model(_pixels(), training=False))
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * scale)


def _save(tmp_path, suffix, way, network, *, flat=False):
    images = keras.Input([16, 16, 3])
    x = _WAYS[way](images)
    features = _body(x) if flat else network(x)
    top = keras.layers.Dense(2)(keras.layers.Flatten()(features))
    whole = keras.Model(images, top)
    path = tmp_path / f"x{suffix}"
    whole.save(path)
    return path, keras.Model(images, features)


_CASES = [(way, ".keras") for way in _WAYS]
_CASES += [(way, ".h5") for way in ("chain", "adapted", "caffe", "operations")]


@pytest.mark.parametrize(("way", "suffix"), _CASES)
def test_features_are_those_of_the_file(
    tmp_path, backbone, randomize, way, suffix
):
    network = randomize(_network(), seed=2)
    path, whole = _save(tmp_path, suffix, way, network)
    report = loading.load(backbone, str(path)).report
    _assert_same(backbone, whole)
    told = any("this is kept in place" in note for note in report.notes)
    assert told == (way != "usual")


@pytest.mark.parametrize("way", ["per_channel", "operations"])
def test_a_flat_network_keeps_its_scaling(tmp_path, backbone, way):
    path, whole = _save(tmp_path, ".keras", way, None, flat=True)
    loading.load(backbone, str(path))
    _assert_same(backbone, whole)


def test_a_sequence_of_models_keeps_its_scaling(tmp_path, backbone, randomize):
    network = randomize(_network(), seed=2)
    inner = keras.Sequential([keras.Input([16, 16, 3]), network])
    scaling = keras.layers.Rescaling(1 / 50, 3)
    whole = keras.Sequential([keras.Input([16, 16, 3]), scaling, inner])
    whole.save(tmp_path / "x.keras")
    loading.load(backbone, str(tmp_path / "x.keras"))
    _assert_same(backbone, whole)


def test_a_network_alone_keeps_the_scaling_of_the_backbone(
    tmp_path, backbone, randomize
):
    network = randomize(_network())
    network.save(tmp_path / "x.keras")
    report = loading.load(backbone, str(tmp_path / "x.keras")).report
    assert report.notes == ()
    expected = network(_pixels() / np.float32(127.5) - 1, training=False)
    found = backbone.model(_pixels(), training=False)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_what_is_no_scaling_is_refused_with_both_names(tmp_path, backbone):
    images = keras.Input([16, 16, 3])
    x = _network()(keras.ops.clip(images, 20, 200) / 255)
    keras.Model(images, x).save(tmp_path / "x.keras")
    with pytest.raises(errors.RunError, match="Clip 'clip.*scaling of tiny"):
        loading.load(backbone, str(tmp_path / "x.keras"))


def test_the_advice_of_a_refusal_can_be_followed(tmp_path, backbone):
    images = keras.Input([16, 16, 3])
    x = _network()(keras.ops.clip(images, 20, 200) / 255)
    whole = keras.Model(images, x)
    whole.get_layer("network").save(tmp_path / "network.keras")
    assert loading.load(backbone, str(tmp_path / "network.keras"))


def test_a_lambda_is_named_and_not_run(tmp_path, backbone):
    images = keras.Input([16, 16, 3])
    x = keras.layers.Lambda(lambda x: x / 255, name="scale")(images)
    keras.Model(images, _network()(x)).save(tmp_path / "x.keras")
    report = loading.load(backbone, str(tmp_path / "x.keras")).report
    assert any("Lambda 'scale'" in note for note in report.notes)


def test_constants_of_the_backbone_are_set(tmp_path, make_backbone, randomize):
    images = keras.Input([16, 16, 3])
    x = keras.layers.Normalization(mean=[9, 9, 9], variance=[4, 4, 4])(images)
    backbone = make_backbone(keras.Model(images, _body(x)))
    path, whole = _save(
        tmp_path, ".keras", "per_channel", randomize(_network())
    )
    loading.load(backbone, str(path))
    _assert_same(backbone, whole)
    backbone.model.save(tmp_path / "ours.keras")
    again = keras.saving.load_model(tmp_path / "ours.keras", compile=False)
    np.testing.assert_allclose(
        again(_pixels()), backbone.model(_pixels()), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("named", [True, False])
def test_a_missing_normalization_is_filled_in(
    tmp_path, make_backbone, randomize, named, write_classic
):
    images = keras.Input([16, 16, 3])
    x = keras.layers.Rescaling(1 / 255)(images)
    x = keras.layers.Normalization(name="normalization")(x)
    backbone = make_backbone(keras.Model(images, _body(x)))
    network = randomize(_network())
    if named:
        network.save(tmp_path / "x.h5")
    else:
        network.save_weights(tmp_path / "x.weights.h5")
    (path,) = tmp_path.iterdir()
    report = loading.load(backbone, str(path)).report
    assert report.complete
    assert any("ImageNet's mean" in note for note in report.notes)
    scaled = (_pixels() / 255 - np.float32(_MEAN)) / np.float32(_STDDEV)
    np.testing.assert_allclose(
        backbone.model(_pixels(), training=False),
        network(scaled, training=False),
        rtol=1e-4,
        atol=1e-4,
    )


def test_a_run_with_a_scaling_of_its_own_passes_it_on(
    tmp_path, backbone, randomize
):
    network = randomize(_network())
    images = keras.Input([16, 16, 3])
    x = keras.layers.Rescaling(0.02, 0.3, name="preprocess")(images)
    run = keras.Model(images, _body(x))
    run.set_weights(network.get_weights())
    run.save(tmp_path / "model.keras")
    run.save_weights(tmp_path / "model.weights.h5")
    (tmp_path / "run.flags").write_text("--backbone=tiny\n")
    loading.load(backbone, str(tmp_path))
    _assert_same(backbone, run)


def test_its_weights_alone_pass_the_scaling_on(tmp_path, backbone, randomize):
    network = randomize(_network())
    images = keras.Input([16, 16, 3])
    x = keras.layers.Rescaling([0.02, 0.03, 0.01], 0.3)(images)
    run = keras.Model(images, _body(x))
    run.set_weights(network.get_weights())
    path = tmp_path / "copied.weights.h5"
    run.save_weights(path)
    preprocessing.record_scaling(path, run)
    report = loading.load(backbone, str(path)).report
    assert any("this is kept" in note for note in report.notes)
    _assert_same(backbone, run)
    run.load_weights(path)  # Keras ignores the record.


@pytest.mark.parametrize("numbers", [[0.5] * 11, [np.nan] * 12, [1] * 12])
def test_damaged_records_of_a_scaling_are_not_read(tmp_path, numbers):
    path = tmp_path / "x.weights.h5"
    _network().save_weights(path)
    keras_files.write_scaling(path, numbers)
    assert keras_files.read_scaling(path) is None


def test_a_model_of_its_own_class_is_named(tmp_path, backbone, write_keras3):
    network = _network()
    layers = {
        f"net/layers/{type(layer).__name__}_{i}": (layer.name, layer.weights)
        for i, layer in enumerate(network.layers)
        if layer.weights
    }
    config = {"class_name": "Own", "config": {}}
    path = write_keras3(tmp_path / "x.keras", layers, config)
    report = loading.load(backbone, str(path)).report
    assert any("model (Own) preprocesses pictures" in n for n in report.notes)
