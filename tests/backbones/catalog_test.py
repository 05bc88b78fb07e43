"""Backbones by name, before TensorFlow starts."""

import pathlib
import subprocess
import sys

import pytest

from tf_finetune import errors
from tf_finetune.backbones import backbone, catalog

_DOCUMENT = pathlib.Path(__file__).parents[2] / "docs" / "backbones.md"


def _module(folder, monkeypatch, text):
    (folder / "their_networks.py").write_text(text)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "their_networks", raising=False)


def test_names_and_facts_need_no_tensorflow():
    code = (
        "import sys\n"
        "from tf_finetune.backbones import catalog\n"
        "catalog.find_spec('mobilenet@0.25'), catalog.format_table()\n"
        "sys.exit(bool({'tensorflow', 'keras', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize(
    ("name", "found", "alpha"),
    [
        ("resnet50", "resnet50", None),
        ("mobilenet", "mobilenet", 1.0),
        ("mobilenet@0.25", "mobilenet", 0.25),
        ("mobilenet_v2@1.4", "mobilenet_v2", 1.4),
        ("mobilenet_v2@.50", "mobilenet_v2", 0.5),
        ("mobilenet_v3_large@0.75", "mobilenet_v3_large", 0.75),
        ("ResNet50", "resnet50", None),
        ("resnet50v2", "resnet50_v2", None),
        ("MobileNetV3Small", "mobilenet_v3_small", 1.0),
        ("EfficientNetV2B0", "efficientnet_v2_b0", None),
        ("efficientnetv2-b0", "efficientnet_v2_b0", None),
        ("InceptionResNetV2", "inception_resnet_v2", None),
        ("MobileNetV2@0.35", "mobilenet_v2", 0.35),
    ],
)
def test_find_reads_name_and_width(name, found, alpha):
    spec, width = catalog.find_spec(name)
    assert spec.name == found
    assert width == alpha


def test_no_two_names_differ_in_spelling_alone():
    bare = [name.replace("_", "") for name in catalog.BACKBONES.names()]
    assert len(set(bare)) == len(bare)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnt50", "Unknown backbone 'resnt50'. Did you mean 'resnet50'"),
        ("mobilnet@0.5", "Unknown backbone 'mobilnet'. Did you mean"),
        ("zzzz", "Unknown backbone 'zzzz'. Known: alexnet"),
        ("", "Unknown backbone ''. Known: alexnet"),
        ("resnet50@0.5", "resnet50 has one width; write it without @."),
        (
            "mobilenet@0.3",
            "no such width. Possible: mobilenet@0.25, mobilenet@0.5, "
            "mobilenet@0.75, mobilenet@1.",
        ),
        ("mobilenet@", "--backbone=mobilenet@: no such width."),
        ("mobilenet@nan", "--backbone=mobilenet@nan: no such width."),
        ("mobilenet@half", "--backbone=mobilenet@half: no such width."),
        ("no_such_module:SPEC", "No module 'no_such_module'"),
        ("math:pi", "--backbone=math:pi: math:pi is a float, but a"),
    ],
)
def test_what_cannot_be_is_said_in_the_users_words(name, message):
    with pytest.raises(errors.UsageError) as raised:
        catalog.find_spec(name)
    assert message in str(raised.value)


def test_a_spec_of_the_users_own(tmp_path, monkeypatch):
    _module(
        tmp_path,
        monkeypatch,
        "from tf_finetune.backbones import backbone\n"
        "SPEC = backbone.BackboneSpec(\n"
        "    name='theirs', builder='their_networks:net', image_size=64,\n"
        "    min_image_size=8, preprocessing='tf', alphas=(0.5, 1.0))\n",
    )
    spec, alpha = catalog.find_spec("their_networks:SPEC@0.5")
    assert isinstance(spec, backbone.BackboneSpec)
    assert (spec.name, alpha) == ("theirs", 0.5)
    assert catalog.find_spec("their_networks:SPEC")[1] == 1.0


def test_table_has_a_line_for_each():
    header, *lines = catalog.format_table().splitlines()
    assert header.split() == (
        ["name", "image", "size", "smallest", "preprocessing"]
        + ["top-1", "widths"]
    )
    assert [line.split()[0] for line in lines] == list(
        catalog.BACKBONES.names()
    )
    assert (
        "xception                      299        71  tf              79.0"
        in lines
    )
    (mobilenet,) = [line for line in lines if line.startswith("mobilenet ")]
    assert mobilenet.endswith("tf              70.6  0.25, 0.5, 0.75, 1")


def test_the_document_shows_the_table():
    assert catalog.format_table() in _DOCUMENT.read_text(encoding="utf-8")
