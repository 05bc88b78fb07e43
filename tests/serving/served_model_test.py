"""Tests of tf_finetune/serving/served_model.py on a small SavedModel."""

import numpy as np
import pytest

from tf_finetune.serving import failures, tensor_info
from tf_finetune.serving import served_model as models


def _objects(*values):
    array = np.empty(len(values), dtype=object)
    array[:] = list(values)
    return array


def test_signatures_tell_names_types_and_shapes(served):
    model = served.model
    assert set(model.signatures) == {
        "serving_default", "sums", "classify", "regress", "double",
    }  # fmt: skip
    (text,) = model.signature("serving_default").inputs
    assert (text.name, text.is_text, text.shape) == ("text", True, (None,))
    a, b = model.signature("sums").inputs
    assert (a.dtype, a.shape) == (np.dtype("float32"), (None, 2))
    for name, signature in model.signatures.items():
        assert signature.can_batch == (name != "double")


def test_name_version_and_labels(served):
    assert (served.model.name, served.model.version) == ("small", 3)
    assert served.model.labels == ("ants", "bees")


def test_bytes_pass_whole(served):
    outputs = served.model.run(
        "serving_default", {"text": _objects(b"\x00a\x00", b"")}
    )
    np.testing.assert_array_equal(outputs["length"], [3, 0])
    assert outputs["first_bytes"].tolist() == [b"\x00", b""]


def test_what_the_model_refuses_is_a_400_in_plain_words(served):
    with pytest.raises(failures.RequestError, match="bad!") as error:
        served.model.run("serving_default", {"text": _objects(b"bad")})
    assert error.value.status == 400
    assert "node" not in error.value.message


_EXAMPLES = tensor_info.TensorInfo("inputs", np.dtype(object), (None,))


@pytest.mark.parametrize(
    ("name", "dtype", "shape", "fits"),
    [
        ("outputs", "float32", (None, 1), True),
        ("outputs", "float32", (None,), True),
        ("outputs", "float32", None, True),
        ("outputs", "float32", (None, None), True),
        ("outputs", "float32", (), False),
        ("outputs", "float32", (None, 2), False),
        ("outputs", "int64", (None, 1), False),
        ("values", "float32", (None, 1), False),
    ],
)
def test_one_float_for_each_example_can_regress(name, dtype, shape, fits):
    output = tensor_info.TensorInfo(name, np.dtype(dtype), shape)
    signature = models.Signature("one", (_EXAMPLES,), (output,))
    if fits:
        signature.require_regress()
        return
    with pytest.raises(failures.RequestError, match="'one' cannot regress"):
        signature.require_regress()


def test_an_unknown_signature_is_answered_with_the_known_ones(served):
    with pytest.raises(failures.RequestError, match="Known: classify, "):
        served.model.signature("embed")
