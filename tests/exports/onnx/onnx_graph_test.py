"""Graphs in the operations that the converter knows."""

import math

import numpy as np
import pytest

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("tf2onnx")
tf = pytest.importorskip("tensorflow")

from tf_finetune.exports.onnx import onnx_file as exporter  # noqa: E402
from tf_finetune.exports.onnx import onnx_graph  # noqa: E402


def test_erfc_is_computed_without_erfc():
    with tf.Graph().as_default() as graph:
        numbers = tf.compat.v1.placeholder(tf.float32, [None], name="numbers")
        tf.math.erfc(numbers, name="complement")
    translated = onnx_graph.translate_graph(graph.as_graph_def())

    assert "Erfc" not in {node.op for node in translated.node}
    given = np.linspace(-4, 4, 33, dtype="float32")
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(translated, name="")
        with tf.compat.v1.Session(graph=graph) as session:
            got = session.run("complement:0", {"numbers:0": given})
    expected = [math.erfc(number) for number in given]
    np.testing.assert_allclose(got, expected, atol=2e-7)


def _grouped(keras):
    return keras.layers.Conv2D(6, 3, groups=3, activation="gelu")


def _convnext(keras):
    """The family's network with a block in each of its stages."""
    from keras.src.applications import convnext

    return convnext.ConvNeXt(
        depths=(1, 1, 1, 1),
        projection_dims=(4, 8, 12, 16),
        # By default what is tested here counts a millionth.
        layer_scale_init_value=1.0,
        include_top=False,
        weights=None,
        input_shape=(32, 32, 3),
        name="convnext",
    )


@pytest.mark.parametrize("made", [_grouped, _convnext])
def test_convolutions_in_groups_and_exact_gelu_are_held(keras, make_job, made):
    keras.utils.set_random_seed(0)
    images = keras.Input([32, 32, 3])
    x = made(keras)(keras.layers.Rescaling(1 / 64, -2)(images))
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(images, keras.layers.Dense(3, "softmax")(x))
    job = make_job(model=model)

    path = exporter.write(job)

    session = onnxruntime.InferenceSession(str(path))
    pixels = np.random.default_rng(0).uniform(0, 255, (3, 32, 32, 3))
    pixels = pixels.astype("float32")
    (got,) = session.run(None, {"images": pixels})
    expected = model.predict_on_batch(pixels)
    assert np.ptp(expected, axis=0).max() > 1e-3
    np.testing.assert_allclose(got, expected, atol=1e-5)
