import hashlib

import h5py
import numpy as np
import pytest
import torch_files
import torch_golden as golden

from tf_finetune import errors
from tf_finetune.backbones import build, catalog
from tf_finetune.untrusted import keras_files
from tf_finetune.weights import loading, weights_file
from tf_finetune.weights.torch import torch_files as preflight
from tf_finetune.weights.torch import torch_weights


@pytest.fixture(scope="module")
def arrays():
    """The state dict of a ResNet-18, random."""
    return golden.fill_arrays(golden.read_vector("resnet18")["arrays"])


@pytest.fixture(scope="module")
def backbone():
    return build.build("resnet18", image_size=32)


def _check(name, path, part=""):
    spec, _ = catalog.find_spec(name)
    return preflight.check_file(spec, path, part=part)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_are_loaded_and_the_classifier_is_named(
    tmp_path, arrays, backbone, suffix
):
    path = torch_files.write_state_dict(tmp_path / f"x{suffix}", arrays)
    loaded = loading.load(backbone, str(path))
    assert loaded.report.clean
    assert loaded.report.unused == ("fc.bias", "fc.weight")
    assert loaded.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert "x" + suffix in loaded.graph and "assumed" in loaded.graph
    model = backbone.model
    np.testing.assert_array_equal(
        model.get_layer("conv3_block1_0_conv").kernel,
        arrays["layer2.0.downsample.0.weight"].transpose(2, 3, 1, 0),
    )
    gamma, beta, mean, variance = model.get_layer("conv1_bn").get_weights()
    np.testing.assert_array_equal(gamma, arrays["bn1.weight"])
    np.testing.assert_array_equal(beta, arrays["bn1.bias"])
    np.testing.assert_array_equal(mean, arrays["bn1.running_mean"])
    np.testing.assert_array_equal(variance, arrays["bn1.running_var"])


def test_another_number_of_classes_is_the_same_network(tmp_path, arrays):
    changed = {**arrays, "fc.weight": np.zeros((7, 512), "float32")}
    path = torch_files.write_state_dict(tmp_path / "x.pth", changed)
    assert _check("resnet18", path).arrays["fc.weight"].shape == (7, 512)


def test_another_network_is_named_before_tensorflow_starts(tmp_path, arrays):
    path = torch_files.write_state_dict(tmp_path / "x.pth", arrays)
    with pytest.raises(
        errors.UsageError,
        match=r"fc.weight \[1000, 512\].*resnet18.*Use --backbone=resnet18",
    ):
        _check("resnet50", path)
    with pytest.raises(errors.UsageError, match="no rule for.*'xception'"):
        _check("xception", path)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("layer4.1.conv2.weight", None, "lacks 1 of 100"),
        ("projector.weight", np.zeros((3, 3), "f4"), r"projector.weight \[3"),
        ("conv1.weight", np.zeros((64, 3, 5, 5), "f4"), "does not fit"),
        ("bn1.bias", np.full(64, np.nan, "f4"), "NaN or infinite"),
        ("bn1.running_var", np.zeros(64, "f4"), "not positive"),
    ],
)
def test_incomplete_files_are_refused_and_nothing_is_assigned(
    tmp_path, arrays, backbone, name, value, words
):
    changed = {**arrays, name: value}
    if value is None:
        del changed[name]
    path = torch_files.write_state_dict(tmp_path / "x.pth", changed)
    before = backbone.model.get_weights()
    with pytest.raises(errors.RunError, match=words):
        loading.load(backbone, str(path))
    for old, new in zip(before, backbone.model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_hash_in_the_name_is_checked(tmp_path, arrays):
    path = torch_files.write_state_dict(tmp_path / "x.pth", arrays)
    digits = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    path = path.rename(tmp_path / f"resnet18-{digits}.pth")
    _check("resnet18", path)
    path = path.rename(tmp_path / "resnet18-00000000.pth")
    with pytest.raises(errors.RunError, match="download is incomplete"):
        _check("resnet18", path)


def test_graph_of_keras_refuses_the_file(tmp_path):
    content = golden.read_vector("mobilenet_v2")["arrays"]
    path = torch_files.write_state_dict(
        tmp_path / "x.pth", golden.fill_arrays(content)
    )
    backbone = build.build("mobilenet_v2", image_size=32)
    with pytest.raises(
        errors.RunError, match=r"Use --backbone=mobilenet_v2\+torch"
    ):
        loading.load(backbone, str(path))


def test_graph_of_torchvision_refuses_arrays_without_a_graph(tmp_path):
    path = tmp_path / "x.weights.h5"
    build.build("mobilenet_v2", image_size=32).model.save_weights(path)
    backbone = build.build("mobilenet_v2+torch", image_size=32)
    with pytest.raises(errors.UsageError, match="does not say which graph"):
        loading.load(backbone, str(path))


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("mobilenet_v2+torch", "mobilenet_v2"),
        ("mobilenet_v2", "mobilenet_v2+torch"),
    ],
)
def test_weights_that_name_their_backbone_fit_its_graph_alone(
    tmp_path, theirs, ours
):
    path = tmp_path / "x.weights.h5"
    with h5py.File(path, "w") as file:
        file["layers/conv2d/vars/0"] = np.zeros([3, 3, 3, 8], "float32")
    keras_files.write_backbone(path, theirs)
    content = weights_file.read_weights(path)
    assert content.backbone == theirs
    with pytest.raises(errors.UsageError) as caught:
        torch_weights.check_graph(catalog.find_spec(ours)[0], content)
    assert f"Use --backbone={theirs}" in str(caught.value)
    torch_weights.check_graph(catalog.find_spec(theirs)[0], content)


def test_graph_of_torchvision_refuses_a_model_of_keras(tmp_path):
    model = build.build("mobilenet_v2", image_size=32).model
    model.save(tmp_path / "x.keras")
    backbone = build.build("mobilenet_v2+torch", image_size=32)
    with pytest.raises(errors.RunError, match="computes other features"):
        loading.load(backbone, str(tmp_path / "x.keras"))


@pytest.mark.real
def test_published_resnet20_is_a_backbone_and_no_resnet18(material):
    path = material / "weights" / "pytorch" / "resnet20-12fca82f.th"
    backbone = build.build("cifar_resnet20", image_size=None)
    loaded = loading.load(backbone, str(path))
    assert loaded.report.unused == ("linear.bias", "linear.weight")
    with pytest.raises(errors.UsageError, match="Use --backbone=cifar_resnet"):
        _check("resnet18", path)
