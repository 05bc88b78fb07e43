"""The file's own graph computes features, too."""

import keras
import pytest

from tf_finetune import errors
from tf_finetune.weights import loading


def _network(strides=2, activation="relu"):
    images = keras.Input([16, 16, 3])
    x = keras.layers.Conv2D(
        4, 3, padding="same", activation=activation, name="stem"
    )(images)
    x = keras.layers.Conv2D(5, 3, strides=strides, name="last")(x)
    return keras.Model(images, x)


def _load(tmp_path, make_backbone, network, suffix=".keras"):
    network.save(tmp_path / f"x{suffix}")
    backbone = make_backbone(_network())
    return loading.load(backbone, str(tmp_path / f"x{suffix}"))


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_one_line_says_that_features_agree(
    tmp_path, make_backbone, caplog, suffix
):
    with caplog.at_level("INFO"):
        _load(tmp_path, make_backbone, _network(), suffix)
    (line,) = [r.message for r in caplog.records if "own graph" in r.message]
    assert line.startswith("Features at layer 'last' agree with those of the")


@pytest.mark.parametrize(
    "other", [{"strides": 1}, {"activation": "tanh"}], ids=["shape", "values"]
)
def test_another_graph_is_refused(tmp_path, make_backbone, other):
    with pytest.raises(errors.RunError, match="computes other features"):
        _load(tmp_path, make_backbone, _network(**other))


@keras.saving.register_keras_serializable("tests")
class _Own(keras.layers.Layer):
    def call(self, x):
        raise AssertionError("A file's own class is never called.")


def test_a_class_that_is_not_keras_own_is_not_called(
    tmp_path, make_backbone, caplog, monkeypatch
):
    monkeypatch.setattr(_Own, "call", lambda self, x: x)
    images = keras.Input([16, 16, 3])
    x = keras.layers.Conv2D(
        4, 3, padding="same", activation="relu", name="stem"
    )(images)
    x = keras.layers.Conv2D(5, 3, strides=2, name="last")(_Own()(x))
    network = keras.Model(images, x)
    network.save(tmp_path / "x.keras")
    monkeypatch.undo()
    with caplog.at_level("INFO"):
        loading.load(make_backbone(_network()), str(tmp_path / "x.keras"))
    assert "_Own" in caplog.text
    assert "were not compared" in caplog.text


def test_a_division_in_front_is_not_taken_for_the_last_layer(
    tmp_path, make_backbone, caplog
):
    def body(scale):
        x = images = keras.Input([16, 16, 3])
        if scale:
            x = keras.layers.Rescaling(1 / 127.5, offset=-1)(x)
        x = keras.layers.Conv2D(4, 3, name="stem")(x)
        x = keras.layers.Conv2D(5, 3, name="last")(x)
        return keras.Model(images, keras.layers.ReLU(name="end")(x))

    images = keras.Input([16, 16, 3])
    outputs = keras.layers.GlobalAveragePooling2D()(body(False)(images / 255.0))
    keras.Model(images, outputs).save(tmp_path / "x.keras")
    backbone = make_backbone(body(True))
    with caplog.at_level("INFO"):
        loading.load(backbone, str(tmp_path / "x.keras"))
    (line,) = [r.message for r in caplog.records if "own graph" in r.message]
    assert line.startswith("Features at layer 'last' agree with those of the")
