"""Tests of tf_finetune/weights/torch/weights_configs.py and its users."""

import numpy as np
import pytest
import torch_files
import torch_golden as golden

from tf_finetune import errors, files
from tf_finetune.backbones import build, catalog
from tf_finetune.weights import weights_source
from tf_finetune.weights.torch import torch_files as preflight
from tf_finetune.weights.torch import torch_weights, weights_configs

_HALF = [0.5] * 3


@pytest.fixture(scope="module")
def arrays():
    return golden.fill_arrays(golden.read_vector("resnet18")["arrays"])


def _write_config(folder, **facts):
    content = {"architecture": "resnet18", "pretrained_cfg": facts}
    files.write_json(folder / "config.json", content)
    return folder / "model.safetensors"


@pytest.mark.parametrize(
    ("mean", "std", "kind"),
    [
        ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225], "torch"),
        (_HALF, _HALF, "tf"),
        ([127 / 255] * 3, [128 / 255] * 3, "lite"),
        (None, None, None),
    ],
)
def test_mean_and_deviation_name_a_preprocessing(tmp_path, mean, std, kind):
    path = _write_config(tmp_path, mean=mean, std=std)
    found = weights_configs.read_config(path)
    assert (found.architecture, found.preprocessing) == ("resnet18", kind)


def test_a_config_is_read_for_the_weights_that_it_names_alone(tmp_path):
    path, other = tmp_path / "mine.safetensors", tmp_path / "other.safetensors"
    path.write_bytes(b"mine")
    other.write_bytes(b"other")
    named = {"file": path.name, "sha256": files.sha256(path)}
    files.write_json(
        tmp_path / "config.json",
        {"architecture": "resnet18", "mean": _HALF, "std": _HALF,
         "weights": named},
    )  # fmt: skip
    assert weights_configs.read_config(path).preprocessing == "tf"
    assert weights_configs.read_config(other) is None
    assert weights_configs.is_free(path)
    assert not weights_configs.is_free(other)
    renamed = path.rename(tmp_path / "renamed.safetensors")
    assert weights_configs.read_config(renamed).preprocessing == "tf"
    (tmp_path / "config.json").write_text("[]")
    assert not weights_configs.is_free(renamed)
    (tmp_path / "config.json").unlink()
    assert weights_configs.is_free(renamed)


@pytest.mark.parametrize("mean", [[0.3, 0.3, 0.3], "half", [0.5], {"r": 1}])
def test_other_means_are_refused(tmp_path, mean):
    path = _write_config(tmp_path, mean=mean, std=_HALF)
    with pytest.raises(errors.UsageError, match="none of the preprocessings"):
        weights_configs.read_config(path)


@pytest.mark.parametrize("text", ["[]", "no JSON", '{"architectures": ["x"]}'])
def test_files_of_other_programs_say_nothing(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    assert weights_configs.read_config(tmp_path / "model.safetensors") is None


def test_a_folder_of_timm_gives_weights_and_scaling(tmp_path, arrays):
    path = _write_config(tmp_path, mean=_HALF, std=_HALF)
    torch_files.write_safetensors(path, arrays)
    folder = str(tmp_path)
    assert weights_source.parse_source(folder).path == path
    choose = weights_source.choose_preprocessing
    assert choose("resnet18", folder, "auto") == "tf"
    assert choose("resnet18", folder, "tf") == "tf"
    with pytest.raises(errors.UsageError, match="torch contradicts .*says tf"):
        choose("resnet18", folder, "torch")
    (tmp_path / "config.json").unlink()
    assert choose("resnet18", str(path), "auto") == "auto"
    assert choose("resnet18", str(path), "lite") == "lite"


def test_other_weights_have_a_scaling_of_their_own():
    choose = weights_source.choose_preprocessing
    assert choose("resnet50", "imagenet", "auto") == "auto"
    with pytest.raises(errors.UsageError, match="tf is for PyTorch files"):
        choose("resnet50", "imagenet", "tf")


@pytest.mark.parametrize("weights", ["imagenet", "digts", "no/file.pth"])
def test_weights_that_are_not_there_are_left_to_their_own_check(weights):
    # There are none of ImageNet for it.
    assert weights_source.choose_graph("small_cnn", weights) == "small_cnn"
    choose = weights_source.choose_preprocessing
    assert choose("small_cnn", weights, "auto") == "auto"


def test_a_network_that_scales_itself_takes_no_other(tmp_path):
    path = tmp_path / "x.safetensors"
    torch_files.write_safetensors(path, {"a": np.zeros(1, "float32")})
    choose = weights_source.choose_preprocessing
    assert choose("convnext_tiny", str(path), "torch") == "auto"
    with pytest.raises(errors.UsageError, match="scales its pictures itself"):
        choose("convnext_tiny", str(path), "tf")


@pytest.mark.parametrize(
    ("config", "backbone", "words"),
    [
        ("tf_mobilenetv2", "mobilenet_v2", "padding of TensorFlow"),
        (None, "mobilenet_v2", "two graphs.*Put timm's config.json beside"),
        ("efficientnet_b5", "efficientnet_b5", "another epsilon"),
    ],
)
def test_files_of_timm_in_another_graph_are_refused(
    tmp_path, config, backbone, words
):
    path = tmp_path / "model.safetensors"
    zeros = np.zeros([32, 3, 3, 3], "float32")
    torch_files.write_safetensors(path, {"conv_stem.weight": zeros})
    if config:
        files.write_json(tmp_path / "config.json", {"architecture": config})
    with pytest.raises(errors.UsageError, match=words):
        preflight.check_file(catalog.find_spec(backbone)[0], path)


def test_the_plan_says_from_where_the_scaling_is_known(tmp_path):
    path = _write_config(tmp_path, mean=_HALF, std=_HALF)
    backbone = build.build("resnet18", image_size=32, preprocessing="tf")
    black = np.zeros([1, 32, 32, 3], "float32")
    scaled = backbone.model.get_layer("preprocess")(black)
    np.testing.assert_array_equal(scaled, black - 1)
    describe = torch_weights.describe_graph
    assert "to -1..1 (as config.json beside" in describe(backbone.spec, path)
    (tmp_path / "config.json").unlink()
    assert "to -1..1 (--preprocessing)" in describe(backbone.spec, path)
    usual, _ = catalog.find_spec("resnet18")
    assert "assumed from the network" in describe(usual, path)
