"""The file saved_model.pb, completed."""

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from tf_finetune.exports.saved_model import image_signatures  # noqa: E402


@pytest.fixture
def folder(tmp_path):
    """A SavedModel with two signatures."""
    module = tf.Module()
    module.double = tf.function(
        lambda x: {"y": 2 * x}, input_signature=[tf.TensorSpec([None])]
    )
    tf.saved_model.save(
        module,
        str(tmp_path / "1"),
        signatures={"a": module.double, "b": module.double},
    )
    return tmp_path / "1"


def test_methods_are_called_as_asked_and_others_as_before(folder):
    image_signatures.set_methods(
        folder, {"b": "tensorflow/serving/classify", "c": "x"}
    )

    assert image_signatures.read_methods(folder) == {
        "a": "tensorflow/serving/predict",
        "b": "tensorflow/serving/classify",
    }


def test_the_model_still_loads_and_holds_no_fingerprint(folder):
    image_signatures.set_methods(folder, {})

    assert not (folder / "fingerprint.pb").exists()
    loaded = tf.saved_model.load(str(folder))
    np.testing.assert_array_equal(
        loaded.signatures["a"](tf.constant([1.0, 2.0]))["y"], [2.0, 4.0]
    )
