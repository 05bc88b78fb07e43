"""Tests of tf_finetune/serving/grpc_server.py with the official stubs."""

import contextlib
import threading

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

from tf_finetune.serving import grpc_server, size_limits  # noqa: E402
from tf_finetune.serving.web import request_bodies  # noqa: E402


@contextlib.contextmanager
def _serving(served, **changes):
    """Yields a channel to a server of the small SavedModel."""
    settings = {
        "max_request_bytes": 1 << 20,
        "max_calls": 4,
        "timeout_seconds": 30.0,
        "budget": request_bodies.ByteBudget(1 << 22),
    }
    server, port = grpc_server.start_server(
        [served], "127.0.0.1:0", **{**settings, **changes}
    )
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    server.stop(None).wait()


@pytest.fixture(scope="module")
def stub(served):
    """A client of such a server."""
    with _serving(served) as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel)


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


def _one_for_all(rows=50_000):
    """Returns one number that claims to be many: 400 kB of 50,000 rows."""
    tensor = _tensor(1.0, shape=[1, 2])
    tensor.tensor_shape.dim[0].size = rows
    return tensor


def _no_strings():
    """Returns a tensor of two strings that holds none."""
    tensor = _tensor([b"a", b"b"])
    tensor.ClearField("string_val")
    return tensor


def _many():
    """Returns claims that are small each, of which the model takes two."""
    request = _request("sums", a=_one_for_all(), b=_one_for_all())
    for number in range(1000):
        request.inputs[f"more{number}"].CopyFrom(_one_for_all())
    return request


def _large_context():
    request = classification_pb2.ClassificationRequest()
    request.model_spec.name = "small"
    request.model_spec.signature_name = "classify"
    chosen = request.input.example_list_with_context
    values = chosen.context.features.feature["x"].bytes_list.value
    values.append(b"a" * 100_000)
    for _ in range(20):
        chosen.examples.add()
    return request


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
        (_request(text=_no_strings()), "INVALID_ARGUMENT"),
        (_many(), "INVALID_ARGUMENT"),
    ],
    ids=range(15),
)
def test_what_does_not_fit_is_refused_and_the_next_answered(
    stub, request_, code
):
    with pytest.raises(grpc.RpcError) as error:
        stub.Predict(request_)
    assert error.value.code().name == code, error.value.details()
    assert stub.Predict(_request(text=_tensor([b"a"]))).outputs


def test_inputs_that_nobody_takes_are_not_converted(stub, monkeypatch):
    converted = []
    convert = tf.make_ndarray

    def noting(tensor):
        converted.append(tensor)
        return convert(tensor)

    monkeypatch.setattr(tf, "make_ndarray", noting)
    with pytest.raises(grpc.RpcError, match="more0"):
        stub.Predict(_many())
    assert not converted


def test_the_inputs_together_are_bounded(served):
    request = _request("sums", a=_one_for_all(64), b=_one_for_all(64))
    with _serving(served, max_request_bytes=1000) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        with pytest.raises(grpc.RpcError, match="expand to 1024 bytes"):
            stub.Predict(request)


def test_too_many_rows_are_refused_before_any_is_looked_at(stub, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("a row was looked at")

    monkeypatch.setattr(size_limits, "measure_images", fail)
    monkeypatch.setattr(grpc_server, "_serialize_examples", fail)
    many = _request(text=_tensor([b""] * 65))
    with pytest.raises(grpc.RpcError, match="64 instances at most, got 65"):
        stub.Predict(many)
    request = classification_pb2.ClassificationRequest()
    request.model_spec.name = "small"
    request.model_spec.signature_name = "classify"
    request.input.example_list.examples.extend([tf.train.Example()] * 65)
    with pytest.raises(grpc.RpcError, match="64 instances at most, got 65"):
        stub.Classify(request)


def test_the_context_counts_once_for_each_example(stub):
    with pytest.raises(grpc.RpcError, match="max_request_megabytes"):
        stub.Classify(_large_context())


def test_requests_share_a_budget(served):
    budget = request_bodies.ByteBudget(2000)
    with _serving(served, budget=budget) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        request = _request(text=_tensor([b"a" * 900]))
        for _ in range(5):  # What was held is given back.
            assert stub.Predict(request).outputs
        with budget.reserve(1500), pytest.raises(grpc.RpcError) as error:
            stub.Predict(request)
        assert error.value.code() == grpc.StatusCode.UNAVAILABLE
        assert stub.Predict(request).outputs


def test_a_call_that_never_sends_its_message_ends(served):
    never = threading.Event()

    def messages():
        never.wait(60)
        yield b""

    with _serving(served, timeout_seconds=0.3) as channel:
        call = channel.stream_unary(
            "/tensorflow.serving.PredictionService/Predict"
        )
        with pytest.raises(grpc.RpcError) as error:
            call(messages(), timeout=50)
        assert error.value.code() != grpc.StatusCode.DEADLINE_EXCEEDED
        never.set()


def _regression(signature, *numbers):
    request = regression_pb2.RegressionRequest()
    request.model_spec.name = "small"
    request.model_spec.signature_name = signature
    for number in numbers:
        example = request.input.example_list.examples.add()
        example.features.feature["x"].float_list.value.append(number)
    return request


def test_regress_gives_a_number_for_each_example(stub):
    answer = stub.Regress(_regression("regress", 3.0, -1.0))
    assert answer.model_spec.signature_name == "regress"
    assert answer.model_spec.version.value == 3
    assert [each.value for each in answer.result.regressions] == [1.5, -0.5]


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (_regression("", 1.0), "'serving_default' cannot regress"),
        (_regression("classify", 1.0), "'classify' cannot regress"),
        (_regression("missing", 1.0), "not found"),
        (_regression("regress"), "no examples"),
    ],
    ids=range(4),
)
def test_what_cannot_regress_is_told_in_words(stub, request_, words):
    with pytest.raises(grpc.RpcError, match=words) as error:
        stub.Regress(request_)
    assert error.value.code().name == "INVALID_ARGUMENT"
