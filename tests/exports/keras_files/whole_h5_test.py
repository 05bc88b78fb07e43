"""The classic whole-model .h5, handed over only where it loads back equal."""

import dataclasses

import numpy as np
import pytest

from tf_finetune import errors, files
from tf_finetune.exports.keras_files import whole_h5


def test_a_plain_network_loads_back_equal(make_job, keras):
    job = make_job()
    path = whole_h5.write(job)

    assert path == job.destination / "model.h5"
    loaded = keras.saving.load_model(path, compile=False)
    images = np.random.default_rng(0).uniform(0, 255, (2, 24, 24, 3))
    np.testing.assert_allclose(
        loaded.predict_on_batch(images),
        job.model.predict_on_batch(images),
        atol=1e-6,
    )
    record = files.read_json(path.parent / "parity.json")["model.h5"]
    assert record["fresh process"]["max_abs_difference"] <= 1e-5


def test_a_network_that_loads_back_wrong_is_refused_with_the_reason(
    keras, make_job, tmp_path
):
    # Keras does not take up the statistics of a Normalization that lies in a
    # network within a network.
    images = keras.Input([24, 24, 3])
    layer = keras.layers.Normalization()
    layer.adapt(np.random.default_rng(0).uniform(0, 255, (64, 24, 24, 3)))
    inner = keras.Model(images, layer(images))
    outer = keras.Input([24, 24, 3])
    x = keras.layers.GlobalAveragePooling2D()(inner(outer))
    model = keras.Model(outer, keras.layers.Dense(3, "softmax")(x))

    with pytest.raises(errors.RunError, match="--format=keras"):
        whole_h5.write(make_job(model=model))

    assert list((tmp_path / "export").iterdir()) == []


def test_the_name_of_a_file_of_weights_is_refused(make_job, tmp_path):
    job = make_job(destination=tmp_path / "flowers.weights.h5")

    with pytest.raises(errors.UsageError, match=r"\.weights\.h5"):
        whole_h5.write(dataclasses.replace(job))
