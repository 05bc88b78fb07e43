"""The script that runs a SavedModel; started as it is in an export."""

import numpy as np
import pytest

from tf_finetune import errors
from tf_finetune.exports.parity import fresh_process

_SCRIPT = fresh_process.RUNTIMES / "saved_model.py"


@pytest.fixture
def folder(tmp_path):
    """A SavedModel with a signature of strings and one of numbers."""
    tf = pytest.importorskip("tensorflow")

    def of_bytes(image_bytes):
        return {
            "length": tf.strings.length(image_bytes),
            "twice": tf.stack([image_bytes, image_bytes], axis=1),
        }

    def of_array(images):
        rows = tf.cast(tf.shape(images)[0], tf.float32)
        return {"images_and_rows": images + rows}

    specs = [
        tf.TensorSpec([None], tf.string, name="image_bytes"),
        tf.TensorSpec([None, 2], tf.float32, name="images"),
    ]
    module = tf.Module()
    module.of_bytes = tf.function(of_bytes, input_signature=specs[:1])
    module.of_array = tf.function(of_array, input_signature=specs[1:])
    tf.saved_model.save(
        module,
        str(tmp_path / "1"),
        signatures={"serve": module.of_bytes, "array": module.of_array},
    )
    return tmp_path / "1"


def test_every_signature_with_inputs_is_called_in_batches(folder):
    contents = np.array([b"\x00a\x00", b"", b"bee"], dtype=object)
    images = np.array([[0, 1], [2, 3], [4, 5]], dtype="float32")

    got = fresh_process.run_script(
        _SCRIPT,
        folder,
        {
            "serve/image_bytes": contents,
            "array/images": images,
            "batch_size": np.array(2),
        },
    )

    assert set(got) == {"serve/length", "serve/twice", "array/images_and_rows"}
    assert got["serve/length"].tolist() == [3, 0, 3]
    assert got["serve/twice"].tolist() == [[each, each] for each in contents]
    # Batches of two rows and of one.
    np.testing.assert_array_equal(
        got["array/images_and_rows"], images + [[2, 2], [2, 2], [1, 1]]
    )


def test_a_signature_that_is_not_there_is_told(folder):
    with pytest.raises(errors.RunError, match="classify"):
        fresh_process.run_script(
            _SCRIPT, folder, {"classify/x": np.zeros([1, 2])}
        )


def test_variables_that_readers_do_not_find_are_told(tmp_path):
    tf = pytest.importorskip("tensorflow")
    root = tf.Module()
    # Under another name than that by which they are looked for.
    root.exit_stack = [tf.Variable(2.0, name="kernel")]
    spec = tf.TensorSpec([None], tf.float32, name="x")
    function = tf.function(
        lambda x: {"y": x * root.exit_stack[0]}, input_signature=[spec]
    ).get_concrete_function()
    tf.saved_model.save(root, str(tmp_path / "1"), {"serve": function})

    given = {"serve/x": np.ones([2], "float32")}
    assert set(fresh_process.run_script(_SCRIPT, tmp_path / "1", given)) == {
        "serve/y"
    }
    with pytest.raises(errors.RunError, match="0 variables are tracked"):
        fresh_process.run_script(
            _SCRIPT, tmp_path / "1", {**given, "variables": np.array(1)}
        )
