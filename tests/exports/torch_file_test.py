"""Tests of tf_finetune/exports/torch_file.py and its neighbors."""

import dataclasses
import importlib.util

import keras
import numpy as np
import pytest

from tf_finetune import errors, files
from tf_finetune.backbones import build
from tf_finetune.config import model_options
from tf_finetune.exports import torch_file
from tf_finetune.exports.parity import fresh_process
from tf_finetune.weights import loading

_HAS_TORCH = all(map(importlib.util.find_spec, ("torch", "torchvision")))
_NEEDS_TORCH = pytest.mark.skipif(
    not _HAS_TORCH, reason="torch and torchvision are not installed"
)
_OPTIONS = model_options.ModelOptions(backbone="resnet18", image_size=32)


@pytest.fixture(scope="module")
def job(build_job, tmp_path_factory):
    """A classifier of three classes on a random ResNet-18."""
    keras.utils.set_random_seed(0)
    backbone = build.build("resnet18", image_size=32).model
    x = keras.layers.GlobalAveragePooling2D(name="features")(backbone.output)
    x = keras.layers.Dense(3, name="logits")(x)
    x = keras.layers.Activation("softmax", name="probabilities")(x)
    model = keras.Model(backbone.input, x)
    found = build_job(destination=tmp_path_factory.mktemp("torch"), model=model)
    return dataclasses.replace(found, options=_OPTIONS)


@pytest.fixture(scope="module")
def written(job):
    return torch_file.write(job)


def test_config_tells_how_to_use_the_file(written, job):
    config = files.read_json(written.with_name("config.json"))
    assert written.name == "model.safetensors"
    assert config["architecture"] == "resnet18"
    assert config["arguments"] == {"num_classes": 3}
    assert config["label_names"] == [*job.class_names]
    assert config["output"] == "softmax"
    assert config["pretrained_cfg"]["input_size"] == [3, 32, 32]
    assert config["pretrained_cfg"]["mean"] == [0.485, 0.456, 0.406]
    assert config["weights"]["sha256"] == files.sha256(written)


def test_it_says_in_which_way_it_was_checked(written):
    figures = files.read_json(written.with_name("parity.json"))[written.name]
    way = "fresh process" if _HAS_TORCH else "read back"
    assert figures[way]["max_abs_difference"] <= 1e-5


def test_read_again_the_backbone_is_bit_equal(written, job):
    backbone = build.build("resnet18", image_size=32)
    loaded = loading.load(backbone, str(written))
    assert loaded.report.unused == ("fc.bias", "fc.weight")
    for layer in backbone.model.layers:
        mine = job.model.get_layer(layer.name).get_weights()
        for one, other in zip(mine, layer.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_wrong_file_is_refused_and_removed(job, tmp_path, monkeypatch):
    wrong = job.proof.predictions[:, ::-1]
    spoiled = dataclasses.replace(
        job,
        destination=tmp_path,
        proof=dataclasses.replace(job.proof, predictions=wrong),
    )
    # Without PyTorch on every machine: the slower way is the same comparison.
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(errors.RunError, match="differs from the evaluation"):
        torch_file.write(spoiled)
    assert [*tmp_path.iterdir()] == []


def test_without_its_options_a_network_is_unknown(make_job):
    with pytest.raises(errors.UsageError, match="needs the options"):
        torch_file.write(make_job())


@_NEEDS_TORCH
def test_torchvision_computes_the_same(written, job):
    config = written.with_name("config.json").read_text("utf-8")
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3))
    images = images.astype("float32")
    got = fresh_process.run_script(
        fresh_process.RUNTIMES / "torchvision_file.py",
        written,
        {"images": images, "batch_size": np.array(2), "config": config},
    )["probabilities"]
    expected = job.model.predict_on_batch(images)
    np.testing.assert_allclose(got, expected, atol=1e-6)
