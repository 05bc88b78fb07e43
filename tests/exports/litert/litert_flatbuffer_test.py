"""Two LiteRT files as one, run by the stock interpreter."""

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert")
pytest.importorskip("tensorflow")

import tensorflow as tf
from ai_edge_litert import interpreter as interpreters

from tf_finetune.exports.litert import litert_flatbuffer


def _file(function, shape, name):
    """Converts a function of one argument."""
    spec = tf.TensorSpec(shape, tf.float32, name=name)
    concrete = tf.function(function).get_concrete_function(spec)
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [concrete], tf.Module()
    )
    return converter.convert()


@pytest.fixture(scope="module")
def joined():
    """Sums of rows times (1, 2, 3), and e to the power of them plus one."""
    factors = np.array([1, 2, 3], "float32")
    first = _file(
        lambda x: tf.reduce_sum(x, axis=1)[:, tf.newaxis] * factors,
        [None, 4],
        "rows",
    )
    second = _file(lambda x: tf.exp(x) + [1.0, 0, 10], [None, 3], "sums")
    return litert_flatbuffer.join_models(first, second)


@pytest.mark.parametrize("count", [1, 5])
def test_the_second_takes_what_the_first_gives(joined, count):
    interpreter = interpreters.Interpreter(model_content=joined)
    (source,) = interpreter.get_input_details()
    (target,) = interpreter.get_output_details()
    rows = np.random.default_rng(0).uniform(0, 0.5, [count, 4])
    rows = rows.astype("float32")
    interpreter.resize_tensor_input(source["index"], rows.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(source["index"], rows)
    interpreter.invoke()

    sums = rows.sum(axis=1, keepdims=True) * [1, 2, 3]
    np.testing.assert_allclose(
        interpreter.get_tensor(target["index"]),
        np.exp(sums) + [1, 0, 10],
        rtol=1e-5,
    )


def test_the_signature_is_that_of_the_whole(joined):
    interpreter = interpreters.Interpreter(model_content=joined)
    run = interpreter.get_signature_runner()

    (answer,) = run(rows=np.zeros([1, 4], "float32")).values()

    np.testing.assert_allclose(answer, [[2, 1, 11]], rtol=1e-6)
