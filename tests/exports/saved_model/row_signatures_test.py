"""Signatures of a model of rows; batch norm is folded."""

import dataclasses

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from tf_finetune.exports.parity import parity_check  # noqa: E402
from tf_finetune.exports.saved_model import image_signatures, serving_network  # noqa: E402


@pytest.fixture
def normed(build_row_job, tmp_path):
    """A job whose model has a network with batch norm within it."""
    job = build_row_job(tmp_path)
    size, layers = job.image_size, keras.layers
    picture = keras.Input([size, size, 3])
    x = layers.Conv2D(4, 3, use_bias=False)(picture)
    x = layers.BatchNormalization(name="norm")(x)
    network = keras.Model(picture, layers.GlobalAveragePooling2D()(x))
    generator = np.random.default_rng(0)
    network.get_layer("norm").set_weights(generator.uniform(0.5, 2, [4, 4]))
    images = keras.Input([2, size, size, 3], name="images")
    flat = keras.ops.reshape(images, [-1, size, size, 3])
    pooled = keras.ops.reshape(network(flat, training=False), [-1, 8])
    numbers = keras.Input([1], name="numbers")
    words = keras.Input([2], name="words", dtype="string")
    inputs = {"images": images, "numbers": numbers, "words": words}
    model = keras.Model(inputs, layers.Dense(1)(pooled))
    values = model.predict_on_batch(parity_check.load_inputs(job.proof, job))
    proof = dataclasses.replace(job.proof, predictions=values)
    return dataclasses.replace(
        job, model=model, proof=proof, unit=np.ptp(values, axis=0)
    )


def test_batch_norm_of_the_network_within_is_folded(normed):
    network = serving_network.optimize_network(normed)
    assert network.folded == 1
    kinds = [type(each) for each in network.model._flatten_layers()]
    assert keras.layers.BatchNormalization not in kinds
    got = network.model.predict_on_batch(
        parity_check.load_inputs(normed.proof, normed)
    )
    expected = normed.model.predict_on_batch(
        parity_check.load_inputs(normed.proof, normed)
    )
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


def test_nothing_is_folded_that_would_answer_something_else(normed):
    shifted = normed.proof.predictions + 0.01 * normed.unit
    proof = dataclasses.replace(normed.proof, predictions=shifted)
    job = dataclasses.replace(normed, proof=proof)
    network = serving_network.optimize_network(job)
    assert network.folded == 0
    got = network.model.predict_on_batch(
        parity_check.load_inputs(normed.proof, normed)
    )
    np.testing.assert_allclose(got, normed.proof.predictions, rtol=1e-4)


@pytest.fixture
def converted(normed, tmp_path):
    """A function: job → LiteRT file of its SavedModel, and what is loaded."""
    tf = pytest.importorskip("tensorflow")

    def convert(job):
        served = image_signatures.ImageServable(job, [])
        folder = str(tmp_path / "1")
        tf.saved_model.save(served, folder, signatures=served.functions)
        converter = tf.lite.TFLiteConverter.from_saved_model(
            folder, signature_keys=["serve_array"]
        )
        return converter.convert(), tf.saved_model.load(folder)

    return convert


def test_rows_without_words_convert_to_the_same_numbers(normed, converted):
    tf = pytest.importorskip("tensorflow")
    given = parity_check.load_inputs(normed.proof, normed)
    size = normed.image_size
    images = keras.Input([2, size, size, 3], name="images")
    numbers = keras.Input([1], name="numbers")
    known = keras.ops.where(keras.ops.isnan(numbers), 7.0, numbers)
    pooled = keras.layers.Dense(3)(keras.ops.mean(images, axis=(2, 3, 4)))
    parts = keras.layers.Concatenate()([pooled, known])
    model = keras.Model(
        {"images": images, "numbers": numbers}, keras.layers.Dense(2)(parts)
    )
    expected = model.predict_on_batch(
        {name: given[name] for name in ("images", "numbers")}
    )
    job = dataclasses.replace(
        normed,
        model=model,
        inputs=normed.inputs[:2],
        class_names=("price", "rooms"),
        proof=dataclasses.replace(normed.proof, predictions=expected),
        unit=np.ptp(expected, axis=0),
    )

    content, loaded = converted(job)

    interpreter = tf.lite.Interpreter(model_content=content)
    got = interpreter.get_signature_runner()(
        images=given["images"], numbers=given["numbers"]
    )["values"]
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)
    assert len(loaded.variables) == 4
    assert set(loaded.signatures) == {"serving_default", "serve_array"}


def test_rows_with_words_keep_their_tables_and_are_refused(
    build_row_job, tmp_path, converted
):
    with pytest.raises(Exception, match="Some ops are not supported"):
        converted(build_row_job(tmp_path))
