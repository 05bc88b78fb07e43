"""Tests of tf_finetune/backbones/imagenet_accuracies.py."""

import pytest

from tf_finetune.backbones import catalog, imagenet_accuracies


def _widths(spec):
    return spec.alphas or (None,)


@pytest.mark.parametrize("name", catalog.BACKBONES.names())
def test_every_published_file_has_an_accuracy_with_its_source(name):
    spec = catalog.BACKBONES.get(name)
    for alpha in _widths(spec):
        known = imagenet_accuracies.find_accuracy(name, alpha)
        # Networks that were never trained on ImageNet.
        if name == "small_cnn" or name.startswith("cifar_"):
            assert known is None
        else:
            assert 50 < known.top_1 < 90
            assert known.source


@pytest.mark.parametrize(
    ("name", "alpha", "top_1", "source"),
    [
        ("resnet50", None, 74.9, "keras.io"),
        ("convnext_xlarge", None, 86.7, "keras.io"),
        ("mobilenet", 0.25, 50.6, "Howard et al. 2017"),
        ("mobilenet_v2", 1.0, 71.8, "Slim"),
        ("mobilenet_v3_small", 0.75, 65.4, "mobilenet_v3"),
        ("resnet18", None, 69.8, "IMAGENET1K_V1"),
    ],
)
def test_an_accuracy_is_found_by_name_and_width(name, alpha, top_1, source):
    known = imagenet_accuracies.find_accuracy(name, alpha)
    assert known.top_1 == top_1
    assert source in known.source


def test_an_unknown_width_has_none():
    assert imagenet_accuracies.find_accuracy("mobilenet", 0.3) is None
    assert imagenet_accuracies.find_accuracy("mobilenet", None) is None
