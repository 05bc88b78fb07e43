"""Several networks of one kind in a file: never one of them by chance."""

import keras
import numpy as np
import pytest

from tf_finetune import errors
from tf_finetune.weights import loading


def _network(name):
    images = keras.Input([16, 16, 3])
    x = keras.layers.Conv2D(4, 3, name="stem")(images)
    x = keras.layers.BatchNormalization(name="stem_bn")(x)
    x = keras.layers.Conv2D(5, 3)(x)
    return keras.Model(images, x, name=name)


@pytest.fixture
def backbone(make_backbone):
    return make_backbone(_network("ours"))


def _save(tmp_path, suffix, *networks):
    images = keras.Input([16, 16, 3])
    pooled = [
        keras.layers.GlobalAveragePooling2D()(each(images)) for each in networks
    ]
    whole = keras.Model(images, keras.layers.Concatenate()(pooled))
    path = tmp_path / f"x{suffix}"
    (whole.save_weights if "weights" in suffix else whole.save)(path)
    return path


def _assert_loaded(backbone, network):
    for found, value in zip(
        backbone.model.get_weights(), network.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(found, value)


@pytest.mark.parametrize("suffix", [".keras", ".h5", ".weights.h5"])
def test_two_networks_are_refused_and_the_advice_can_be_followed(
    tmp_path, backbone, randomize, suffix
):
    networks = [
        randomize(_network("teacher"), 1),
        randomize(_network("student"), 2),
    ]
    path = _save(tmp_path, suffix, *networks)
    with pytest.raises(errors.RunError, match="holds 2 networks") as caught:
        loading.load(backbone, str(path))
    advised = [
        word.strip(".,").removeprefix("--weights=")
        for word in str(caught.value).split()
        if word.startswith("--weights=")
    ]
    if suffix != ".weights.h5":
        assert f"{path}::teacher" in advised
    assert len(advised) == 2
    found = []
    for each in advised:
        loading.load(backbone, each)
        found.append(backbone.model.get_weights()[0].sum())
    assert sorted(found) == sorted(n.get_weights()[0].sum() for n in networks)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_part_is_taken_by_its_name(
    tmp_path, backbone, randomize, suffix, number
):
    networks = [randomize(_network(name), i) for i, name in enumerate("abc")]
    path = _save(tmp_path, suffix, *networks)
    loading.load(backbone, f"{path}::{'abc'[number]}")
    _assert_loaded(backbone, networks[number])


def test_three_different_networks_are_all_named(tmp_path, backbone, randomize):
    networks = [randomize(_network(f"n{i}"), i) for i in range(3)]
    path = _save(tmp_path, ".keras", *networks)
    with pytest.raises(errors.RunError, match="3 networks.*n0, n1 and n2"):
        loading.load(backbone, str(path))


def test_equal_copies_are_taken_with_a_line(tmp_path, backbone, randomize):
    networks = [randomize(_network(name), 1) for name in ("one", "average")]
    path = _save(tmp_path, ".keras", *networks)
    report = loading.load(backbone, str(path)).report
    assert "holds the network 2 times, with equal weights" in report.notes[0]
    _assert_loaded(backbone, networks[0])


def test_two_towers_in_one_graph_are_refused(tmp_path, backbone, write_classic):
    layers = {}
    for name in ("teacher_", "student_"):
        shapes = {"stem": [(3, 3, 3, 4), (4,)], "stem_bn": [(4,)] * 4}
        shapes["top"] = [(3, 3, 4, 5), (5,)]
        for layer, each in shapes.items():
            value = np.float32(len(layers))
            layers[name + layer] = {
                str(i): np.full(shape, value) for i, shape in enumerate(each)
            }
    path = write_classic(tmp_path / "x.h5", layers)
    with pytest.raises(errors.RunError, match="student_ and teacher_"):
        loading.load(backbone, str(path))
    loading.load(backbone, f"{path}::student_")
    assert backbone.model.get_weights()[0].max() == 3


def test_a_head_is_no_second_network(tmp_path, backbone, randomize):
    images = keras.Input([16, 16, 3])
    network = randomize(_network("body"))
    x = keras.layers.Flatten()(network(images))
    keras.Model(images, keras.layers.Dense(3)(x)).save(tmp_path / "x.keras")
    assert loading.load(backbone, str(tmp_path / "x.keras")).report.complete


def test_an_unknown_part_is_answered_with_those_that_there_are(
    tmp_path, backbone, randomize
):
    path = _save(tmp_path, ".keras", _network("teacher"), _network("student"))
    with pytest.raises(errors.UsageError, match="Parts: teacher, student"):
        loading.load(backbone, f"{path}::pupil")
