"""Tests of tf_finetune/recommendation/candidates.py."""

import pathlib

import h5py
import pytest

from tf_finetune import errors
from tf_finetune.config import options, recommend_config
from tf_finetune.recommendation import candidates
from tf_finetune.weights import packaged_weights


@pytest.fixture(autouse=True)
def keras_cache(tmp_path, monkeypatch) -> pathlib.Path:
    """Keras' cache of weights, empty."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return tmp_path / "keras" / "models"


def _write(path: pathlib.Path) -> pathlib.Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [path.stem]
    return path


@pytest.fixture(autouse=True)
def no_packages(monkeypatch):
    """No package of weights is installed."""
    monkeypatch.setattr(packaged_weights, "_find_folder", lambda spec: None)


def _list(**keywords):
    config = options.from_keywords(recommend_config.RecommendConfig, keywords)
    return candidates.list_candidates(config)


def test_without_names_the_files_in_the_cache_of_keras_are_taken(keras_cache):
    _write(keras_cache / "mobilenet_2_5_224_tf_no_top.h5")
    _write(keras_cache / "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5")
    found = _list()
    assert [(c.label, c.weights, c.prior) for c in found] == [
        ("mobilenet@0.25", "imagenet", 50.6),
        ("resnet50", "imagenet", 74.9),
    ]


def test_an_empty_cache_says_how_weights_are_given(keras_cache):
    with pytest.raises(errors.UsageError) as caught:
        _list()
    assert str(keras_cache) in str(caught.value)
    assert "--backbones=NAME=FILE" in str(caught.value)


def test_the_accuracy_of_published_weights_does_not_count_for_a_file(tmp_path):
    file = _write(tmp_path / "mine.h5")
    (found,) = _list(backbones=f"mobilenet@0.25={file}")
    assert found.weights == str(file)
    assert found.published.top_1 == 50.6
    assert found.prior is None


def test_an_empty_name_of_weights_is_refused():
    with pytest.raises(errors.UsageError, match="or resnet50 alone for its"):
        _list(backbones="resnet50=")


def test_candidates_of_one_network_are_labeled_by_their_weights(tmp_path):
    names = [
        f"mobilenet@0.25={_write(tmp_path / 'a' / 'one.h5')}",
        f"mobilenet@0.25={_write(tmp_path / 'b' / 'other.h5')}",
        f"mobilenet_v2={_write(tmp_path / 'b' / 'third.h5')}",
    ]
    assert [each.label for each in _list(backbones=names)] == [
        "mobilenet@0.25=one.h5",
        "mobilenet@0.25=other.h5",
        "mobilenet_v2",
    ]


def test_a_candidate_given_twice_counts_once():
    assert len(_list(backbones="small_cnn=digits,small_cnn=digits")) == 1


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"backbones": "resnt50"}, "Did you mean 'resnet50'"),
        ({"backbones": "resnet50"}, "--download"),
        ({"backbones": "resnet50=none"}, "random weights are no candidate"),
        ({"backbones": "resnet50=nowhere.h5"}, "nowhere.h5"),
        ({"backbones": "resnet18"}, "no ImageNet weights"),
        (
            {"backbones": "small_cnn=digits", "image_size": 8},
            "needs 16 at least",
        ),
    ],
)
def test_an_impossible_candidate_is_refused(keywords, words):
    with pytest.raises(errors.UsageError, match=words):
        _list(**keywords)


def test_weights_are_known_by_their_content(tmp_path):
    one = _write(tmp_path / "one.h5")
    (first,) = _list(backbones=f"mobilenet@0.25={one}")
    before = candidates.hash_weights(first)
    one.write_bytes(one.read_bytes() + b" ")
    assert candidates.hash_weights(first) != before
    (digits,) = _list(backbones="small_cnn=digits")
    assert len(candidates.hash_weights(digits)) == 64
