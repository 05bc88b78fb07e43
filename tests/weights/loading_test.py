import keras
import numpy as np
import pytest

from tf_finetune import errors, files
from tf_finetune.backbones import build
from tf_finetune.config import model_options, options
from tf_finetune.weights import loading


def _tiny_model():
    images = keras.Input([16, 16, 3])
    x = keras.layers.Conv2D(4, 3, name="stem")(images)
    return keras.Model(images, keras.layers.BatchNormalization(name="bn")(x))


def _assert_same_weights(model, expected):
    for found, value in zip(
        model.get_weights(), expected.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(found, value)


def test_none_leaves_random_weights(make_backbone):
    backbone = make_backbone(_tiny_model())
    before = backbone.model.get_weights()
    assert loading.load(backbone, "none") is None
    for old, new in zip(before, backbone.model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_path_is_loaded_and_recorded(tmp_path, make_backbone, randomize):
    saved = randomize(_tiny_model())
    path = tmp_path / "x.weights.h5"
    saved.save_weights(path)
    backbone = make_backbone(_tiny_model())
    loaded = loading.load(backbone, str(path))
    _assert_same_weights(backbone.model, saved)
    assert loaded.source == str(path)
    assert loaded.path == path
    assert loaded.sha256 == files.sha256(path)
    assert loaded.report.summary() == (
        "2 of 2 layers took their weights (100 % of the kernels' parameters)"
    )


def test_partial_match_is_a_warning(
    tmp_path, make_backbone, write_classic, caplog
):
    path = write_classic(
        tmp_path / "x.h5",
        {
            "stem": {
                "kernel": np.ones((3, 3, 3, 4), "f4"),
                "bias": np.ones(4, "f4"),
            }
        },
    )
    with caplog.at_level("INFO"):
        loading.load(make_backbone(_tiny_model()), str(path))
    (record,) = [r for r in caplog.records if "layers took" in r.message]
    assert record.levelname == "WARNING"
    assert "not in the file (1): bn" in record.message


def test_workdir_of_the_same_backbone(tmp_path, make_backbone, randomize):
    saved = randomize(_tiny_model())
    x = keras.layers.GlobalAveragePooling2D()(saved.output)
    whole = keras.Model(saved.input, keras.layers.Dense(2)(x))
    whole.save_weights(tmp_path / "model.weights.h5")
    (tmp_path / "run.flags").write_text("--backbone=tiny\n")
    backbone = make_backbone(_tiny_model())
    loaded = loading.load(backbone, str(tmp_path))
    _assert_same_weights(backbone.model, saved)
    assert loaded.path == tmp_path / "model.weights.h5"


def test_workdir_of_another_width_names_both(tmp_path, make_backbone):
    _tiny_model().save_weights(tmp_path / "model.weights.h5")
    (tmp_path / "run.flags").write_text("--backbone=tiny@0.25\n")
    backbone = make_backbone(_tiny_model(), alpha=0.5, alphas=(0.25, 0.5))
    with pytest.raises(errors.UsageError, match=r"tiny@0\.25.*tiny@0\.5"):
        loading.load(backbone, str(tmp_path))


def test_weights_of_another_width_name_it(tmp_path):
    network = keras.applications.MobileNet(
        alpha=0.25, include_top=False, weights=None, input_shape=(32, 32, 3)
    )
    network.save_weights(tmp_path / "x.weights.h5")
    backbone = build.build("mobilenet@0.5", image_size=32)
    with pytest.raises(
        errors.RunError, match=r"They fit --backbone=mobilenet@0\.25\."
    ):
        loading.load(backbone, str(tmp_path / "x.weights.h5"))


def test_workdir_of_another_backbone(tmp_path, make_backbone):
    _tiny_model().save_weights(tmp_path / "model.weights.h5")
    (tmp_path / "run.flags").write_text("--backbone=resnet50\n")
    with pytest.raises(errors.UsageError, match="resnet50.*tiny"):
        loading.load(make_backbone(_tiny_model()), str(tmp_path))


def test_bundled_weights_come_from_the_package(
    tmp_path, make_backbone, randomize, monkeypatch
):
    saved = randomize(_tiny_model())
    (tmp_path / "assets").mkdir()
    saved.save_weights(tmp_path / "assets" / "tiny.weights.h5")
    monkeypatch.setattr(
        loading.importlib.resources, "files", lambda package: tmp_path
    )
    backbone = make_backbone(
        _tiny_model(), bundled_weights=(("own", "tiny.weights.h5"),)
    )
    loaded = loading.load(backbone, "own")
    _assert_same_weights(backbone.model, saved)
    assert loaded.source == "own"


def test_imagenet_weights_in_the_cache_need_no_network(
    tmp_path, make_backbone, randomize, monkeypatch
):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    saved = randomize(_tiny_model())
    saved.save(tmp_path / "models" / "tiny_notop.h5")
    backbone = make_backbone(
        _tiny_model(), weights_url="http://127.0.0.1:9/tiny_notop.h5"
    )
    loaded = loading.load(backbone, "imagenet")
    _assert_same_weights(backbone.model, saved)
    assert loaded.path == tmp_path / "models" / "tiny_notop.h5"


def test_keras_file_with_a_lambda_runs_nothing(tmp_path, make_backbone):
    marker = tmp_path / "ran"
    images = keras.Input([16, 16, 3])
    x = keras.layers.Lambda(
        lambda image, path=str(marker): (open(path, "w").close(), image)[1]
    )(images)
    x = keras.layers.Conv2D(4, 3, name="stem")(x)
    model = keras.Model(images, keras.layers.BatchNormalization(name="bn")(x))
    model.save(tmp_path / "x.keras")
    assert marker.exists()  # The lambda does run when Keras builds the model.
    marker.unlink()
    backbone = make_backbone(_tiny_model())
    loading.load(backbone, str(tmp_path / "x.keras"))
    _assert_same_weights(backbone.model, model)
    assert not marker.exists()


_REAL = {
    "mobilenet_0.25_224_notop.h5": ("mobilenet@0.25", 0),
    "mobilenet_0.25_224_google_notop.h5": ("mobilenet@0.25", 0),
    "mobilenet_0.25_224_notop.weights.h5": ("mobilenet@0.25", 0),
    "mobilenet_0.50_224_notop.h5": ("mobilenet@0.5", 0),
    "mobilenetv2_1.0_224_notop.h5": ("mobilenet_v2", 0),
    # With top: keras.applications takes it only with top.
    "mobilenet_0.25_224.h5": ("mobilenet@0.25", 1),
}


@pytest.mark.real
@pytest.mark.parametrize("name", _REAL)
def test_real_weights_give_the_numbers_of_keras(material, name):
    backbone_name, unused = _REAL[name]
    path = str(material / "weights" / name)
    backbone = build.build(backbone_name, image_size=224)
    loaded = loading.load(backbone, path)
    assert loaded.report.complete
    assert len(loaded.report.unused) == unused
    constructor, keywords = keras.applications.MobileNetV2, {}
    if backbone.spec.name == "mobilenet":
        constructor = keras.applications.MobileNet
        keywords = {"alpha": backbone.alpha}
    reference = constructor(include_top=bool(unused), weights=path, **keywords)
    if unused:
        last = reference.get_layer("conv_pw_13_relu")
        reference = keras.Model(reference.input, last.output)
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 224, 224, 3))
    pixels = pixels.astype("f4")
    expected = reference(pixels * np.float32(1 / 127.5) - 1, training=False)
    found = backbone.model(pixels, training=False)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    _assert_same_weights(backbone.model, reference)


@pytest.mark.real
def test_real_weights_of_another_width(material):
    backbone = build.build("mobilenet@0.5", image_size=224)
    path = material / "weights" / "mobilenet_0.25_224_notop.h5"
    with pytest.raises(errors.RunError) as caught:
        loading.load(backbone, str(path))
    assert "conv1 (model (3, 3, 3, 16), file (3, 3, 3, 8))" in str(caught.value)
    assert "mobilenet@0.25" in str(caught.value)


@pytest.mark.real
def test_real_weights_of_another_backbone(material):
    backbone = build.build("resnet18", image_size=64)
    path = material / "weights" / "mobilenet_0.25_224_notop.weights.h5"
    with pytest.raises(errors.RunError, match="another backbone"):
        loading.load(backbone, str(path))


@pytest.mark.real
def test_real_pytorch_file_is_recognized(material):
    backbone = build.build("mobilenet@0.25", image_size=32)
    path = material / "weights" / "pytorch" / "resnet20-12fca82f.th"
    with pytest.raises(errors.UsageError, match="is a PyTorch file"):
        loading.load(backbone, str(path))


def _asked(**changes) -> model_options.ModelOptions:
    given = {"backbone": "small_cnn", "image_size": 32, **changes}
    return options.from_keywords(model_options.ModelOptions, given)


def _flags(**changes) -> str:
    return options.to_flagfile(_asked(**changes))


def _equal(before: keras.Model, after: keras.Model, *, but=()) -> int:
    """Compares the weights of layers of one name; returns how many."""
    old = {layer.name: layer for layer in before.layers if layer.weights}
    names = [layer.name for layer in after.layers if layer.weights]
    compared = [name for name in names if name in old and name not in but]
    for name in compared:
        pairs = zip(
            old[name].get_weights(),
            after.get_layer(name).get_weights(),
            strict=True,
        )
        for ours, theirs in pairs:
            np.testing.assert_array_equal(ours, theirs)
    return len(compared)


@pytest.fixture(scope="module")
def plain():
    return loading.build_pretrained(_asked(), "digits")


def test_without_surgery_it_is_the_whole_network(plain):
    assert plain.changes == ()
    assert plain.loaded.report.complete


@pytest.mark.parametrize(
    ("changes", "but", "count"),
    [
        ({"cut_at": "stage2"}, (), 14),
        ({"input_channels": 1}, ("stem_conv",), 19),
        (
            {"cut_at": "block2_out", "input_channels": 1},
            ("stem_conv",),
            13,
        ),
    ],
)
def test_files_of_the_whole_network_load_before_it_is_operated_on(
    plain, changes, but, count
):
    made = loading.build_pretrained(_asked(**changes), "digits")
    assert made.loaded.report.complete
    assert made.loaded.sha256 == plain.loaded.sha256
    found = _equal(plain.backbone.model, made.backbone.model, but=but)
    assert found == count
    assert len(made.changes) == len(changes)


def test_scale_and_shift_are_those_of_the_file(plain):
    made = loading.build_pretrained(
        _asked(norm="instance", cut_at="stage2"), "digits"
    )
    for layer in made.backbone.model.layers:
        if isinstance(layer, keras.layers.GroupNormalization):
            old = plain.backbone.model.get_layer(layer.name)
            np.testing.assert_array_equal(layer.gamma, old.gamma)
            np.testing.assert_array_equal(layer.beta, old.beta)


def _finished(folder, **changes) -> keras.Model:
    """Writes what a run leaves, with other weights than fresh ones."""
    made = loading.build_pretrained(_asked(**changes), "none")
    model = made.backbone.model
    generator = np.random.default_rng(3)
    for variable in model.weights:
        variable.assign(generator.uniform(0.5, 1.5, variable.shape))
    model.save_weights(folder / "model.weights.h5")
    (folder / "run.flags").write_text(_flags(**changes))
    return model


_OPERATED = {
    "backbone": "resnet18+se",
    "cut_at": "stage3",
    "norm": "group",
    "input_channels": 1,
}


def test_a_run_of_the_same_surgery_gives_all_of_its_weights(tmp_path):
    theirs = _finished(tmp_path, **_OPERATED)
    made = loading.build_pretrained(_asked(**_OPERATED), str(tmp_path))
    ours = made.backbone.model
    assert made.loaded.report.complete
    assert _equal(theirs, ours) == sum(bool(e.weights) for e in theirs.layers)
    assert any("_se_" in layer.name for layer in ours.layers)
    assert len(made.changes) == 4


def test_a_run_of_other_surgery_says_with_which_flags(tmp_path):
    _finished(tmp_path, **_OPERATED)
    with pytest.raises(errors.UsageError) as raised:
        loading.build_pretrained(_asked(backbone="resnet18"), str(tmp_path))
    assert (
        "--backbone=resnet18+se --cut_at=stage3 --norm=group --input_channels=1"
        in str(raised.value)
    )


def test_a_run_without_surgery_is_loaded_and_then_operated_on(tmp_path):
    theirs = _finished(tmp_path)
    made = loading.build_pretrained(_asked(cut_at="stage1"), str(tmp_path))
    assert _equal(theirs, made.backbone.model) == 8
