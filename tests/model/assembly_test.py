"""Tests of assembly.py, inference.py, heads/ and tasks/ as one model."""

import keras
import numpy as np
import pytest
from scipy import special

from tf_finetune.config import model_options
from tf_finetune.model import assembly, inference
from tf_finetune.tasks import classification

_TASK = classification.TASK


def _built(**options) -> assembly.Assembly:
    settings = {"backbone": "small_cnn", "image_size": 16, **options}
    return assembly.build_model(
        model_options.ModelOptions(**settings), _TASK, "abcd", seed=0
    )


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    generator = np.random.default_rng(0)
    return generator.uniform(0, 255, [5, 16, 16, 3]).astype("float32")


# Decoders make masks; tests/heads/ has them.
@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_all_views_are_of_one_set_of_weights(head, images):
    built = _built(head=head, dropout=0.3, head_units=7)
    features = inference.predict(built.extractor, [images[:3], images[3:]])
    logits = inference.predict_rows(built.head, features)
    whole = inference.predict_rows(built.trainer, images)
    np.testing.assert_allclose(logits, whole, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        inference.predict_rows(built.model, images),
        special.softmax(whole, axis=1),
        rtol=1e-5,
    )
    built.head.set_weights([w * 0 for w in built.head.get_weights()])
    np.testing.assert_allclose(
        inference.predict_rows(built.model, images), 0.25
    )


def test_the_graph_is_flat():
    assert not any(
        isinstance(layer, keras.Model) for layer in _built().model.layers
    )


def test_the_same_seed_gives_the_same_weights_and_another_others():
    first, second = _built(), _built()
    for ours, theirs in zip(
        first.model.get_weights(), second.model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    other = assembly.build_model(
        model_options.ModelOptions(backbone="small_cnn", image_size=16),
        _TASK,
        "abcd",
        seed=1,
    )
    assert (
        other.model.get_layer("logits").kernel.numpy()
        != first.model.get_layer("logits").kernel.numpy()
    ).any()


def test_mlp_and_l2_are_built_as_asked():
    built = _built(head="mlp", head_units=9, l2=0.5)
    assert built.model.get_layer("head_hidden").units == 9
    kernel = np.asarray(built.model.get_layer("logits").kernel)
    hidden = np.asarray(built.model.get_layer("head_hidden").kernel)
    expected = 0.5 * ((kernel**2).sum() + (hidden**2).sum())
    assert float(sum(built.model.losses)) == pytest.approx(expected, rel=1e-5)
    assert built.head_layers == ("head_hidden", "logits")


def test_weights_are_interpolated_between_two_values():
    start = [np.array([1.0, 3.0], "float32"), np.array([7, 8])]
    end = [np.array([2.0, -1.0], "float32"), np.array([9, 9])]
    found = assembly.interpolate_values(start, end, 0.75)
    # 1 + 0.75 · 1 and 3 - 0.75 · 4; whole numbers are taken as they are.
    np.testing.assert_array_equal(found[0], np.float32([1.75, 0.0]))
    np.testing.assert_array_equal(found[1], [9, 9])
    assert [each.dtype for each in found] == [each.dtype for each in end]
