"""One graph here, two in Keras: the numbers must be those of Keras."""

import dataclasses

import keras
import numpy as np
import pytest
from keras.src.utils import file_utils

from tf_finetune.backbones import build
from tf_finetune.weights import efficientnet_rescaling, loading

_SIZE = 40


@dataclasses.dataclass(frozen=True)
class _Published:
    """A stand-in for the published weights, and Keras' use of them."""

    path: object
    model: keras.Model
    pixels: np.ndarray
    features: np.ndarray


def _plain():
    return keras.applications.EfficientNetB0(
        include_top=False, weights=None, input_shape=(_SIZE, _SIZE, 3)
    )


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    path = tmp_path_factory.mktemp("published") / "efficientnetb0_notop.h5"
    plain = _plain()
    random = np.random.default_rng(0)
    for variable in plain.variables:
        if len(variable.shape) == 1:
            variable.assign(random.uniform(0.8, 1.2, variable.shape))
    # What the published file holds: the standard deviation as the variance.
    (normalization,) = [
        layer
        for layer in plain.layers
        if isinstance(layer, keras.layers.Normalization)
    ]
    mean, variance, _ = normalization.weights
    mean.assign([0.485, 0.456, 0.406])
    variance.assign([0.229, 0.224, 0.225])
    plain.save_weights(path.with_name("x.weights.h5"))
    plain.save(path)
    with pytest.MonkeyPatch.context() as patch:
        # Keras itself builds and loads the "imagenet" graph, from our file.
        patch.setattr(file_utils, "get_file", lambda *_, **__: str(path))
        model = keras.applications.EfficientNetB0(
            include_top=False,
            weights="imagenet",
            input_shape=(_SIZE, _SIZE, 3),
        )
    pixels = random.uniform(0, 255, (2, _SIZE, _SIZE, 3)).astype("f4")
    return _Published(
        path=_without_config(path),
        model=model,
        pixels=pixels,
        features=model.predict(pixels, verbose=0),
    )


def _without_config(path):
    """Makes a whole-model .h5 one of weights alone, as the published are."""
    import h5py

    target = path.with_name("notop.h5")
    with h5py.File(path) as source, h5py.File(target, "w") as file:
        for name, value in source["model_weights"].attrs.items():
            file.attrs[name] = value
        for name in source["model_weights"]:
            source.copy(f"model_weights/{name}", file)
    return target


@pytest.fixture(scope="module")
def ours():
    return build.build("efficientnet_b0", image_size=_SIZE)


def _assert_equal(ours, published):
    features = ours.model(published.pixels, training=False)
    scale = np.abs(published.features).max()
    np.testing.assert_allclose(
        np.asarray(features) / scale, published.features / scale, atol=1e-5
    )


def test_published_file_given_by_path(ours, published):
    loading.load(ours, str(published.path))
    _assert_equal(ours, published)


def test_published_file_from_the_cache(ours, published, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    cached = tmp_path / "models" / "efficientnetb0_notop.h5"
    cached.write_bytes(published.path.read_bytes())
    unhashed = dataclasses.replace(ours.spec, weights_hash=None)
    loading.load(dataclasses.replace(ours, spec=unhashed), "imagenet")
    _assert_equal(ours, published)


@pytest.mark.parametrize("suffix", [".h5", ".weights.h5", ".keras"])
def test_file_saved_from_the_imagenet_graph(ours, published, tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    if suffix == ".weights.h5":
        published.model.save_weights(path)
    else:
        published.model.save(path)
    loading.load(ours, str(path))
    _assert_equal(ours, published)


@pytest.mark.parametrize("suffix", [".h5", ".weights.h5", ".keras", ""])
def test_own_file_is_not_changed_a_second_time(
    ours, published, tmp_path, suffix
):
    loading.load(ours, str(published.path))
    path = tmp_path / f"x{suffix}"
    if not suffix:
        path.mkdir()
        ours.model.save_weights(path / "model.weights.h5")
        (path / "run.flags").write_text("--backbone=efficientnet_b0\n")
    elif suffix == ".weights.h5":
        ours.model.save_weights(path)
    else:
        ours.model.save(path)
    before = ours.model.get_weights()
    loading.load(ours, str(path))
    for old, new in zip(before, ours.model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    _assert_equal(ours, published)


@pytest.mark.parametrize("suffix", [".h5", ".weights.h5"])
def test_file_of_the_plain_graph_is_taken_as_it_is(ours, tmp_path, suffix):
    plain = _plain()
    path = tmp_path / f"x{suffix}"
    (plain.save_weights if suffix == ".weights.h5" else plain.save)(path)
    loading.load(ours, str(path))
    pixels = np.random.default_rng(1).uniform(0, 255, (1, _SIZE, _SIZE, 3))
    pixels = pixels.astype("f4")
    expected = plain(pixels, training=False)
    np.testing.assert_allclose(
        ours.model(pixels, training=False), expected, atol=1e-5, rtol=1e-5
    )


def _randomize(model):
    random = np.random.default_rng(0)
    for variable in model.variables:
        if len(variable.shape) == 1:
            variable.assign(random.uniform(0.5, 1.5, variable.shape))


def _normalization(model):
    (layer,) = [
        each
        for each in model.layers
        if isinstance(each, keras.layers.Normalization)
    ]
    return layer


def test_the_factors_stand_for_the_second_rescaling(tmp_path, monkeypatch):
    path = str(tmp_path / "efficientnetb0.weights.h5")
    ours = build.build("efficientnet_b0", image_size=32).model
    _randomize(ours)
    plain = keras.applications.EfficientNetB0(
        include_top=False, weights=None, input_shape=(32, 32, 3)
    )
    plain.set_weights(ours.get_weights())
    plain.save_weights(path)
    # Keras takes this for the published file and builds the other graph.
    monkeypatch.setattr(file_utils, "get_file", lambda *_, **__: path)
    published = keras.applications.EfficientNetB0(
        include_top=False, weights="imagenet", input_shape=(32, 32, 3)
    )
    layers = [type(layer).__name__ for layer in published.layers]
    assert layers.count("Rescaling") == 2
    pixels = np.random.default_rng(1).uniform(0, 255, (2, 32, 32, 3))
    pixels = pixels.astype("float32")
    expected = np.asarray(published(pixels, training=False))
    scale = np.abs(expected).max()
    unadapted = np.asarray(ours(pixels, training=False))
    assert np.abs(unadapted - expected).max() > 1e-3 * scale

    normalization = _normalization(ours)
    _, variance, _ = normalization.weights
    variance.assign(
        np.asarray(variance) * efficientnet_rescaling.VARIANCE_FACTORS
    )
    normalization.finalize_state()
    found = np.asarray(ours(pixels, training=False))
    np.testing.assert_allclose(found / scale, expected / scale, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "has"),
    [
        ("efficientnet_b0", True),
        ("efficientnet_b7", True),
        ("efficientnet_v2_b0", False),
        ("efficientnet_better", False),
        ("resnet50", False),
    ],
)
def test_which_networks_have_two_graphs(name, has):
    found = efficientnet_rescaling.TWO_GRAPHS.fullmatch(name)
    assert (found is not None) == has
