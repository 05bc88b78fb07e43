"""Float32 copies of models."""

import dataclasses

import numpy as np
import pytest

from tf_finetune.exports import float32_model


def test_a_float32_model_is_returned_as_it_is(tiny_model):
    assert float32_model.ensure_float32(tiny_model) is tiny_model


def test_a_mixed_model_becomes_a_float32_one_with_its_weights(mixed_model):
    copy = float32_model.ensure_float32(mixed_model)

    assert not float32_model.is_float32(mixed_model)
    assert float32_model.is_float32(copy)
    for mine, theirs in zip(
        mixed_model.get_weights(), copy.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)


def test_a_copy_shares_no_weights_with_its_model(tiny_model):
    copy = float32_model.copy_model(tiny_model)

    before = tiny_model.get_weights()
    for mine, theirs in zip(before, copy.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    copy.set_weights([0 * each for each in copy.get_weights()])
    for mine, theirs in zip(before, tiny_model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_nested_models_are_converted_too(keras, mixed_model):
    images = keras.Input(mixed_model.input_shape[1:])
    answer = mixed_model(images)
    inner = keras.Model(images, answer + answer * 2)
    images = keras.Input(mixed_model.input_shape[1:])
    nested = keras.Model(images, inner(images) + 1)

    assert not float32_model.is_float32(nested)
    assert float32_model.is_float32(float32_model.ensure_float32(nested))


def test_an_adapted_normalization_keeps_its_statistics(keras):
    images = keras.Input([4, 4, 3])
    layer = keras.layers.Normalization(dtype="mixed_float16")
    model = keras.Model(images, layer(images))
    data = np.random.default_rng(0).uniform(0, 255, (64, 4, 4, 3))
    layer.adapt(data.astype("float32"))

    got = float32_model.ensure_float32(model).predict_on_batch(
        data.astype("float32")
    )

    mean, deviation = data.mean((0, 1, 2)), data.std((0, 1, 2))
    np.testing.assert_allclose(got, (data - mean) / deviation, atol=1e-3)


tf = pytest.importorskip("tensorflow")


@pytest.fixture(scope="module")
def images():
    generator = np.random.default_rng(0)
    return generator.uniform(0, 255, [3, 24, 24, 3]).astype("float32")


def _answer(frozen, images):
    (answer,) = frozen(tf.constant(images))
    return answer.numpy()


def test_the_graph_holds_no_variables(tiny_model):
    frozen = float32_model.freeze_model(tiny_model, 24)

    assert frozen.captured_inputs == []
    kinds = {node.op for node in frozen.graph.as_graph_def().node}
    assert not kinds & {"ReadVariableOp", "VarHandleOp"}


def test_a_batch_of_any_size_gives_what_the_model_gives(tiny_model, images):
    frozen = float32_model.freeze_model(tiny_model, 24)

    (source,) = frozen.inputs
    assert source.name.startswith(float32_model.INPUT_NAME)
    assert source.shape.as_list() == [None, 24, 24, 3]
    assert frozen.outputs[0].shape.as_list() == [None, 3]
    for count in (1, 3):
        np.testing.assert_allclose(
            _answer(frozen, images[:count]),
            tiny_model.predict_on_batch(images[:count]),
            atol=1e-6,
        )


def test_dropout_is_off(tiny_model, images):
    frozen = float32_model.freeze_model(tiny_model, 24)

    first, second = (_answer(frozen, images) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_later_changes_of_the_model_do_not_reach_it(keras, images):
    model = keras.Sequential(
        [
            keras.Input([24, 24, 3]),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2, kernel_initializer="ones"),
        ]
    )
    frozen = float32_model.freeze_model(model, 24)
    model.layers[-1].set_weights([np.zeros([3, 2]), np.zeros([2])])

    expected = images.mean((1, 2)).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(
        _answer(frozen, images), np.repeat(expected, 2, axis=1), rtol=1e-5
    )


def test_a_job_is_frozen_once_whatever_its_destination(make_job, tmp_path):
    job = make_job()
    frozen = float32_model.freeze_job(job)

    again = dataclasses.replace(job, destination=tmp_path / "elsewhere")
    assert float32_model.freeze_job(again) is frozen


def test_a_job_of_another_model_is_frozen_anew(keras, make_job, images):
    job = make_job()
    float32_model.freeze_job(job)
    model = keras.Sequential(
        [
            keras.Input([24, 24, 3]),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, kernel_initializer="ones"),
        ]
    )

    frozen = float32_model.freeze_job(dataclasses.replace(job, model=model))

    np.testing.assert_allclose(
        _answer(frozen, images), model.predict_on_batch(images), rtol=1e-5
    )


def test_a_mixed_model_computes_in_float32(mixed_model, images):
    frozen = float32_model.freeze_model(mixed_model, 24)

    types = {
        node.attr["T"].type
        for node in frozen.graph.as_graph_def().node
        if node.op in ("Conv2D", "MatMul")
    }
    assert types == {tf.float32.as_datatype_enum}
