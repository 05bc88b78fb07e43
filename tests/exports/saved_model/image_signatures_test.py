"""What a SavedModel can be asked."""

import dataclasses
import pathlib
import struct

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")

from tf_finetune.exports import batch_norm_folding  # noqa: E402
from tf_finetune.exports.saved_model import image_signatures, serving_network  # noqa: E402


@pytest.fixture
def served(make_job, tmp_path):
    """A function of a job's changes → the module and the job."""

    def make(job=None, **changes):
        labels = tmp_path / "labels.txt"
        labels.write_text("")
        job = dataclasses.replace(job or make_job(), **changes)
        return image_signatures.ImageServable(job, [labels]), job

    return make


def test_every_signature_is_there_with_batch_norm_folded(served):
    module, _ = served()

    assert set(module.functions) == {
        "serving_default", "serve_array", "embed", "classify",
    }  # fmt: skip
    assert module.folded == 1
    assert not [each for each in module.variables if "moving" in each.name]


def test_the_model_of_the_job_is_not_touched(served):
    before = None
    module, job = served()
    before = job.model.get_weights()
    module.variables[0].assign(0 * module.variables[0])

    for mine, theirs in zip(before, job.model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_batch_norm_that_moves_answers_too_far_stays(served, monkeypatch):
    def spoilt(model):
        found = real(model)
        weights = found.model.get_weights()
        found.model.set_weights([each + 1e-2 for each in weights])
        return found

    real = batch_norm_folding.fold_batch_norms
    monkeypatch.setattr(
        serving_network.batch_norm_folding, "fold_batch_norms", spoilt
    )
    module, job = served()

    assert module.folded == 0
    images = np.random.default_rng(0).uniform(0, 255, [2, 24, 24, 3])
    images = tf.constant(images, tf.float32)
    np.testing.assert_allclose(
        module.functions["serve_array"](images)["probabilities"],
        job.model.predict_on_batch(images),
        atol=1e-5,
    )


def test_a_model_without_pooling_has_no_embed(served, make_job):
    images = keras.Input([24, 24, 3])
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(images))
    model = keras.Model(images, keras.layers.Dense(3, "softmax")(x))

    module, _ = served(make_job(model=model))

    assert "embed" not in module.functions
    assert serving_network.find_features(model) is None


def test_the_layer_called_features_is_taken():
    images = keras.Input([24, 24, 3])
    pooled = keras.layers.GlobalAveragePooling2D(name="features")(images)
    scaled = keras.layers.Reshape([1, 1, 3])(pooled)
    other = keras.layers.GlobalAveragePooling2D()(scaled)
    model = keras.Model(images, keras.layers.Dense(3, "softmax")(other))

    assert serving_network.find_features(model) is pooled


def _claiming(content, side):
    """Returns a JPEG whose header says that it is as high and as wide."""
    start = content.index(b"\xff\xc0") + 5
    sides = struct.pack(">HH", side, side)
    return content[:start] + sides + content[start + 4 :]


@pytest.mark.parametrize(
    ("side", "largest"),
    [(60_000, image_signatures.MAX_RESTORED_PIXELS), (1200, 1_000_000)],
)
def test_no_mask_is_filled_up_to_a_size_that_is_only_claimed(
    served, make_job, pictures, monkeypatch, side, largest
):
    monkeypatch.setattr(image_signatures, "MAX_RESTORED_PIXELS", largest)
    images = keras.Input([24, 24, 3])
    maps = keras.layers.Conv2D(3, 1)(keras.layers.Rescaling(1 / 255)(images))
    maps = keras.layers.Activation("softmax")(maps)
    job = make_job(model=keras.Model(images, maps))
    module, _ = served(job, task="segmentation")
    serve = module.functions["serving_default"]
    good = pathlib.Path(pictures[3]).read_bytes()

    found = serve(tf.constant([good, _claiming(good, side)]))

    assert [bool(each) for each in found["error"].numpy()] == [False, True]
    np.testing.assert_array_equal(found["sizes"], [[48, 64], [0, 0]])
    assert found["masks"].shape == (2, 48, 64)
    alone = serve(tf.constant([good]))["masks"]
    np.testing.assert_array_equal(found["masks"][0], alone[0])


def test_more_pixels_than_can_be_brought_to_their_size_are_an_error():
    sizes = tf.constant([[5000, 10_000], [5001, 10_000], [60_000, 60_000]])

    found = image_signatures._add_size_errors(
        tf.constant(["", "", "bad"]), sizes
    )

    good, large, bad = found.numpy().tolist()
    assert (good, bad) == (b"", b"bad")
    assert b"more than 50,000,000 pixels" in large


def test_what_squeezes_a_map_is_no_features():
    images = keras.Input([24, 24, 3])
    maps = keras.layers.Conv2D(4, 3, padding="same")(images)
    squeezed = keras.layers.GlobalAveragePooling2D(name="se_squeeze")(maps)
    weights = keras.layers.Reshape([1, 1, 4])(squeezed)
    maps = keras.layers.Multiply()([maps, weights])
    answers = keras.layers.Conv2D(3, 1, activation="softmax")(maps)

    assert serving_network.find_features(keras.Model(images, answers)) is None

    pooled = keras.layers.GlobalAveragePooling2D()(maps)
    answer = keras.layers.Dense(3, "softmax")(pooled)
    assert serving_network.find_features(keras.Model(images, answer)) is pooled
