import pytest

from tf_finetune import errors
from tf_finetune.backbones import catalog, torch_names


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet50", "resnet50+torch"),
        ("ResNet50", "resnet50+torch"),
        ("resnet50+torch", "resnet50+torch"),
        ("resnet50+se", "resnet50+torch+se"),
        ("mobilenet_v2@1.0", "mobilenet_v2+torch"),
        ("resnet18", None),
        ("xception", None),
    ],
)
def test_name_in_the_graph_of_torchvision(name, expected):
    assert torch_names.find_torch_name(name) == expected


def test_width_that_torchvision_lacks_is_refused():
    with pytest.raises(errors.UsageError, match="--backbone=mobilenet_v2"):
        torch_names.find_torch_name("mobilenet_v2@0.5")


def test_specs_of_the_graph_have_no_weights_of_keras():
    spec, alpha = catalog.find_spec("mobilenet_v2+torch")
    assert (spec.name, alpha) == ("mobilenet_v2+torch", None)
    assert spec.weights_url is None and spec.alphas == ()
    assert spec.preprocessing == "torch"
    spec, _ = catalog.find_spec("resnet50+torch+se")
    assert spec.squeeze_excite and spec.torch_rules.strides_in_3x3


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("xception+torch", "no graph of torchvision"),
        ("vgg16+torch+se", "can be put into"),
        ("resnet50+se+torch", "can be put into"),
        ("resnt50+torch", "Did you mean 'resnet50'"),
    ],
)
def test_impossible_names_are_refused(name, words):
    with pytest.raises(errors.UsageError, match=words):
        catalog.find_spec(name)
