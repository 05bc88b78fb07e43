"""Model files that ask for more than they hold, and honest ones."""

import json
import zipfile

import keras
import numpy as np
import pytest

from tf_finetune import errors
from tf_finetune.runs.finished import model_file

_GIGABYTE = 1 << 30


def _layer(name, /, **config):
    return {"module": "keras.layers", "class_name": name, "config": config}


def _sequential(shape, *layers):
    inputs = {"batch_shape": [None, *shape], "dtype": "float32", "name": "in"}
    config = {"name": "m", "layers": [_layer("InputLayer", **inputs), *layers]}
    return {"module": "keras", "class_name": "Sequential", "config": config}


@pytest.fixture
def small(tmp_path):
    """A file of a small honest model."""
    inputs = keras.Input([8, 8, 3])
    values = keras.layers.Conv2D(4, 3, activation="relu")(inputs)
    values = keras.layers.Dropout(0.5)(values)
    values = keras.layers.GlobalAveragePooling2D()(values)
    path = tmp_path / "model.keras"
    keras.Model(inputs, keras.layers.Dense(2)(values)).save(path)
    return path


def _asking(path, config):
    """Exchanges the config of a file for another one."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            is_config = name == "config.json"
            archive.writestr(name, json.dumps(config) if is_config else content)


@pytest.mark.parametrize(
    "config",
    [
        _sequential([1000], _layer("Dense", units=2_000_000)),
        _sequential([8], _layer("Embedding", input_dim=10**9, output_dim=64)),
        _sequential([64, 64, 512],
                    _layer("Conv2D", filters=10**6, kernel_size=[3, 3])),
        _sequential([64, 64, 512],
                    _layer("Conv2DTranspose", filters=10**6,
                           kernel_size=[3, 3])),
        _sequential([10**9], _layer("BatchNormalization"),
                    _layer("Dense", units=1)),
        _sequential([8], _layer("PReLU"), _layer("RepeatVector", n=10**6),
                    _layer("PReLU"), _layer("Flatten"),
                    _layer("Dense", units=10**5)),
        _sequential([1000], _sequential([1000],
                    _layer("Dense", units=2_000_000))),
        _sequential([9, 1000], _layer("TimeDistributed",
                    layer=_layer("Dense", units=2_000_000))),
        _sequential([9, 1000], _layer("LSTM", units=10**5)),
        # Keras believes what a layer says that it was built with.
        _sequential([8], {**_layer("Dense", units=10**6, name="dense"),
                          "build_config": {"input_shape": [None, 10**4]}}),
    ],
)  # fmt: skip
def test_weights_that_the_file_does_not_hold_are_not_allocated(
    small, config, peak_bytes
):
    _asking(small, config)
    with pytest.raises(errors.RunError, match="cannot be read") as found:
        model_file.load_model(small, within=small.parent)
    words = str(found.value)
    assert "nothing was allocated" in words or "have value 10000" in words
    assert peak_bytes() < _GIGABYTE


def test_a_layer_that_gives_too_much_is_refused(small, peak_bytes):
    for size in (10**5, 10**9):
        config = _sequential([8, 8, 3], _layer("UpSampling2D", size=size))
        _asking(small, config)
        with pytest.raises(errors.RunError, match="for each picture"):
            model_file.load_model(small, within=small.parent)
    assert peak_bytes() < _GIGABYTE


@pytest.fixture
def peak_bytes():
    """Returns by how much this process has grown at most since the start."""
    status = "/proc/self/status"

    def resident(name):
        with open(status) as file:
            (line,) = (each for each in file if each.startswith(name))
        return int(line.split()[1]) << 10

    before = resident("VmHWM")
    return lambda: resident("VmHWM") - before


def test_an_honest_model_is_itself(small):
    pictures = np.random.default_rng(0).random([2, 8, 8, 3], "float32")
    expected = keras.saving.load_model(small)(pictures)
    names = keras.layers.Dense(1).name
    found = model_file.load_model(small, within=small.parent)
    np.testing.assert_array_equal(found(pictures), expected)
    # Nothing of the check is left in the process.
    after = keras.layers.Dense(1).name
    assert int(after.rpartition("_")[2]) <= 1 + int(
        names.rpartition("_")[2] if "_" in names else 0
    )


@pytest.mark.parametrize(
    "build",
    [
        keras.applications.MobileNetV3Small,
        pytest.param(keras.applications.ConvNeXtTiny, marks=pytest.mark.slow),
    ],
)
def test_published_networks_ask_for_what_they_hold(build, tmp_path):
    model = build(weights=None, include_top=False, input_shape=(64, 64, 3))
    model.save(tmp_path / "model.keras")
    found = model_file.load_model(tmp_path / "model.keras", within=tmp_path)
    assert found.count_params() == model.count_params()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_those_of_the_file(tmp_path, value):
    model = keras.Sequential([keras.Input([4]), keras.layers.Dense(2)])
    kernel, bias = model.get_weights()
    kernel[1, 1] = value
    model.set_weights([kernel, bias])
    model.save(tmp_path / "model.keras")
    with pytest.raises(errors.RunError, match="holds weights that are NaN or"):
        model_file.load_model(tmp_path / "model.keras", within=tmp_path)
