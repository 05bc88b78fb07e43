"""Tests of tf_finetune/serving/grpc_server.py with the official stubs."""

import numpy as np
import pytest

grpc = pytest.importorskip("grpc")
pytest.importorskip("tensorflow_serving")
tf = pytest.importorskip("tensorflow")

from tensorflow_serving.apis import (  # noqa: E402
    classification_pb2,
    get_model_metadata_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from tf_finetune.serving import grpc_server  # noqa: E402


@pytest.fixture(scope="module")
def stub(served):
    """A client of a server of the small SavedModel."""
    server, port = grpc_server.start(
        served, "127.0.0.1:0", max_request_bytes=1 << 20, max_calls=4
    )
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel)
    server.stop(None).wait()


def _request(signature="", version=None, name="small", **inputs):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    request.model_spec.signature_name = signature
    if version is not None:
        request.model_spec.version.value = version
    for each, value in inputs.items():
        request.inputs[each].CopyFrom(value)
    return request


def _tensor(values, **keywords):
    return tf.make_tensor_proto(values, **keywords)


def test_predict_returns_named_tensors_and_who_answered(stub):
    answer = stub.Predict(_request(text=_tensor([b"abc", b"\x00hi"])))
    assert answer.model_spec.name == "small"
    assert answer.model_spec.version.value == 3
    assert answer.model_spec.signature_name == "serving_default"
    lengths = tf.make_ndarray(answer.outputs["length"])
    np.testing.assert_array_equal(lengths, [3, 3])
    assert list(answer.outputs["first"].string_val) == [b"a", b"\x00"]


def test_numbers_lie_in_the_field_of_their_type(stub):
    answer = stub.Predict(_request(text=_tensor([b"abc"])))
    shares = answer.outputs["probabilities"]
    np.testing.assert_allclose(shares.float_val, [0.3, 0.7], rtol=1e-6)
    assert [d.size for d in shares.tensor_shape.dim] == [1, 2]
    assert list(answer.outputs["length"].int_val) == [3]


def test_the_output_filter_chooses(stub):
    request = _request(text=_tensor([b"abc"]))
    request.output_filter.append("length")
    assert list(stub.Predict(request).outputs) == ["length"]


def test_metadata_packs_the_signatures(stub):
    request = get_model_metadata_pb2.GetModelMetadataRequest()
    request.model_spec.name = "small"
    request.metadata_field.append("signature_def")
    answer = stub.GetModelMetadata(request)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert answer.metadata["signature_def"].Unpack(signatures)
    text = signatures.signature_def["serving_default"].inputs["text"]
    assert text.dtype == tf.string.as_datatype_enum


def test_classify_takes_examples(stub):
    request = classification_pb2.ClassificationRequest()
    request.model_spec.name = "small"
    request.model_spec.signature_name = "classify"
    chosen = request.input.example_list_with_context
    chosen.context.features.feature["x"].float_list.value.append(1.5)
    chosen.examples.add()
    answer = stub.Classify(request)
    (one,) = answer.result.classifications
    assert [(c.label, c.score) for c in one.classes] == [
        ("ants", 1.5),
        ("bees", -1.5),
    ]


def _huge():
    """Returns a small message that claims four gigabytes."""
    tensor = _tensor(1.0, shape=[1, 2])
    tensor.tensor_shape.dim[0].size = 1 << 29
    return tensor


def _repeated():
    """Returns one string that claims to be sixty."""
    tensor = _tensor([b"a" * 1000])
    tensor.tensor_shape.dim[0].size = 60
    return tensor


def _negative():
    tensor = _tensor([b"a"])
    tensor.tensor_shape.dim[0].size = -3
    return tensor


def _short():
    """Returns a tensor whose bytes do not fill its shape."""
    tensor = _tensor(np.zeros([2, 2], "f4"))
    tensor.tensor_content = b"abc"
    return tensor


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (_request(name="other", text=_tensor([b"a"])), "NOT_FOUND"),
        (_request(version=9, text=_tensor([b"a"])), "NOT_FOUND"),
        (_request("embed", text=_tensor([b"a"])), "INVALID_ARGUMENT"),
        (_request(), "INVALID_ARGUMENT"),
        (_request(text=_tensor([1.0])), "INVALID_ARGUMENT"),
        (_request(text=_tensor([[b"a"]])), "INVALID_ARGUMENT"),
        (_request(text=_tensor([b"bad"])), "INVALID_ARGUMENT"),
        (_request(text=_tensor([b"a"] * 100)), "INVALID_ARGUMENT"),
        (_request(text=_negative()), "INVALID_ARGUMENT"),
        (_request(text=_repeated()), "INVALID_ARGUMENT"),
        (_request("sums", a=_huge(), b=_huge()), "INVALID_ARGUMENT"),
        (_request("sums", a=_short(), b=_short()), "INVALID_ARGUMENT"),
        (_request(text=_tensor([b"a" * (2 << 20)])), "RESOURCE_EXHAUSTED"),
    ],
    ids=range(13),
)
def test_what_does_not_fit_is_refused_and_the_next_answered(
    stub, request_, code
):
    with pytest.raises(grpc.RpcError) as error:
        stub.Predict(request_)
    assert error.value.code().name == code, error.value.details()
    assert stub.Predict(_request(text=_tensor([b"a"]))).outputs


def test_regression_is_not_there(stub):
    with pytest.raises(grpc.RpcError) as error:
        stub.Regress(regression_pb2.RegressionRequest())
    assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED
