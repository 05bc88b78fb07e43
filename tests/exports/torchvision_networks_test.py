"""Tests of tf_finetune/exports/torchvision_networks.py."""

import pytest

from tf_finetune import errors
from tf_finetune.config import model_options
from tf_finetune.exports import torchvision_networks as networks


def _find(backbone, head="linear", **surgery):
    options = model_options.ModelOptions(
        backbone=backbone, surgery=model_options.SurgeryOptions(**surgery)
    )
    return networks.find_network(options, head)


@pytest.mark.parametrize(
    ("backbone", "name", "dense"),
    [
        ("resnet18", "resnet18", ("fc",)),
        ("resnet50+torch", "resnet50", ("fc",)),
        ("densenet121", "densenet121", ("classifier",)),
        ("efficientnet_b3+torch", "efficientnet_b3", ("classifier.1",)),
    ],
)
def test_graphs_of_torchvision_are_found(backbone, name, dense):
    found = _find(backbone)
    assert (found.name, found.dense, found.grid) == (name, dense, 1)


def test_another_epsilon_alone_is_made_up_for():
    assert _find("densenet121").epsilon == 1e-5
    assert _find("densenet121+torch").epsilon is None
    assert _find("vgg16").epsilon is None


def test_auxiliary_classifiers_are_left_out():
    assert _find("googlenet").arguments["aux_logits"] is False


@pytest.mark.parametrize(
    ("backbone", "words"),
    [
        ("resnet50", r"Keras' own.*--backbone=resnet50\+torch"),
        ("mobilenet_v2", r"Keras' own.*mobilenet_v2\+torch"),
        ("convnext_tiny", "normalizes its feature map and then pools"),
        ("small_cnn", "torchvision has no network 'small_cnn'"),
        ("efficientnet_lite0", "no network 'efficientnet_lite0'"),
        ("resnet18+se", r"--backbone=resnet18\+se.*no such layers"),
    ],
)
def test_other_graphs_are_refused(backbone, words):
    with pytest.raises(errors.UsageError, match=f"{words}.*--format=onnx"):
        _find(backbone)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"head": "mlp"}, "--head=mlp"),
        ({"head_layers": ("64", "relu")}, "--head_layers"),
        ({"norm": "group"}, "--norm"),
        ({"cut_at": "stage4", "input_channels": 1}, "--cut_at, --input"),
    ],
)
def test_other_layers_are_refused(changes, words):
    with pytest.raises(errors.UsageError, match=f"{words}.*no such layers"):
        _find("resnet18", **changes)
