"""Float32 copies of models."""

import numpy as np

from tf_finetune.exports.graph import float32_model


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
