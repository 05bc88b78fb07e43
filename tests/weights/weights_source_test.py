import subprocess
import sys

import numpy as np
import pytest
import torch_files

from tf_finetune import errors
from tf_finetune.backbones import backbone
from tf_finetune.weights import weights_source


def _spec(**facts):
    return backbone.BackboneSpec(
        name="tiny",
        builder="none:none",
        image_size=16,
        min_image_size=8,
        preprocessing="in_graph",
        **facts,
    )


_PUBLISHED = {"weights_url": "http://127.0.0.1/tiny.h5"}
_BUNDLED = {"bundled_weights": (("digits", "digits.weights.h5"),)}


def test_names_that_need_no_file():
    weights_source.check_weights(_spec(), "none")
    weights_source.check_weights(_spec(**_PUBLISHED), "imagenet")
    weights_source.check_weights(_spec(**_BUNDLED), "digits")


def test_typo_gets_the_nearest_name():
    with pytest.raises(errors.UsageError, match="Did you mean 'imagenet'"):
        weights_source.check_weights(_spec(**_PUBLISHED), "imagnet")


def test_bundled_name_of_another_backbone_lists_what_there_is():
    with pytest.raises(errors.UsageError, match="Known: imagenet, none"):
        weights_source.check_weights(_spec(**_PUBLISHED), "digits")


def test_no_published_weights_says_what_exists():
    with pytest.raises(errors.UsageError) as caught:
        weights_source.check_weights(_spec(**_BUNDLED), "imagenet")
    message = str(caught.value)
    assert "no ImageNet weights for 'tiny'" in message
    assert "--weights=none" in message
    assert "--weights=digits" in message
    assert "--weights=PATH" in message


@pytest.mark.parametrize(
    "weights", ["a/b", "weights.h5", "/nowhere/x.keras", "~/nowhere/at/all"]
)
def test_missing_file(weights):
    with pytest.raises(errors.UsageError, match="no such file or folder"):
        weights_source.check_weights(_spec(), weights)


def test_empty_weights_are_no_folder():
    with pytest.raises(errors.UsageError, match="Unknown weights ''"):
        weights_source.check_weights(_spec(), "")


def test_folder_with_a_plain_name_is_found(tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(errors.UsageError, match="is a folder with"):
        weights_source.check_weights(_spec(), "photos")


def _workdir(path, flags):
    (path / "run.flags").write_text(flags)
    (path / "model.weights.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    return str(path)


def test_workdir_of_another_backbone_names_both(tmp_path):
    weights = _workdir(tmp_path, "--backbone=resnet50\n")
    with pytest.raises(errors.UsageError) as caught:
        weights_source.check_weights(_spec(), weights)
    assert "--backbone=resnet50" in str(caught.value)
    assert "--backbone=tiny" in str(caught.value)


def test_workdir_of_the_same_backbone_in_some_width(tmp_path):
    weights_source.check_weights(
        _spec(), _workdir(tmp_path, "--backbone=tiny@0.5\n")
    )


def test_workdir_that_names_no_backbone(tmp_path):
    with pytest.raises(errors.UsageError, match="names no --backbone"):
        weights_source.check_weights(_spec(), _workdir(tmp_path, "--seed=1\n"))


def test_checking_starts_no_tensorflow(tmp_path):
    (tmp_path / "x.h5").write_bytes(b"<html>")
    code = (
        "import sys\n"
        "from tf_finetune import errors\n"
        "from tf_finetune.backbones import catalog\n"
        "from tf_finetune.weights import weights_source\n"
        "spec, _ = catalog.find_spec('resnet50')\n"
        "try:\n"
        f"    path = {str(tmp_path / 'x.h5')!r}\n"
        "    weights_source.check_weights(spec, path)\n"
        "except errors.UsageError:\n"
        "    bad = {'tensorflow', 'keras'} & set(sys.modules)\n"
        "    sys.exit(f'imported {bad}' if bad else 0)\n"
        "sys.exit('accepted')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_workdir_whose_files_lie_elsewhere_is_refused(tmp_path):
    spec = _spec()
    outside, run = tmp_path / "outside", tmp_path / "run"
    outside.write_text("--backbone=tiny\nnobody's business\n")
    run.mkdir()
    (run / "run.flags").symlink_to(outside)
    (run / "model.weights.h5").write_bytes(b"x")
    with pytest.raises(errors.UsageError, match="outside of") as found:
        weights_source.check_weights(spec, str(run))
    assert "business" not in str(found.value)
    (run / "run.flags").unlink()
    (run / "run.flags").write_text("--backbone=tiny\n" * 100_000)
    with pytest.raises(errors.UsageError, match="1,600,000 bytes"):
        weights_source.check_weights(spec, str(run))
    (run / "run.flags").write_text("--backbone=tiny\n")
    (run / "model.weights.h5").unlink()
    (run / "model.weights.h5").symlink_to(outside)
    with pytest.raises(errors.UsageError, match="outside of"):
        weights_source.check_weights(spec, str(run))


def test_pytorch_files_choose_their_graph(tmp_path):
    arrays = {"conv1.weight": np.zeros((1, 1, 1, 1), "float32")}
    path = torch_files.write_state_dict(tmp_path / "x.pth", arrays)
    choose = weights_source.choose_graph
    assert choose("resnet50", str(path)) == "resnet50+torch"
    assert choose("resnet50", f"{path}::model") == "resnet50+torch"
    assert choose("resnet18", str(path)) == "resnet18"
    assert choose("resnet50", "imagenet") == "resnet50"
    assert choose("resnet50", "none") == "resnet50"
    assert choose("resnet50", str(tmp_path / "absent.pth")) == "resnet50"
