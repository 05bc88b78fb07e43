"""LiteRT files, run by the stock interpreter."""

import dataclasses
import pathlib
import types
import zipfile

import numpy as np
import pytest

from tf_finetune import errors, files

pytest.importorskip("ai_edge_litert")
pytest.importorskip("tensorflow")

from ai_edge_litert import interpreter as interpreters
from ai_edge_litert import schema_py_generated as schema

from tf_finetune.exports import litert_file, litert_formats
from tf_finetune.exports.parity import parity_check
from tf_finetune.tasks.regression import network, target_transforms


def _interpreter(path):
    return interpreters.Interpreter(model_path=str(path))


def _run(path, images):
    interpreter = _interpreter(path)
    (source,) = interpreter.get_input_details()
    (target,) = interpreter.get_output_details()
    interpreter.resize_tensor_input(source["index"], images.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(source["index"], images)
    interpreter.invoke()
    return interpreter.get_tensor(target["index"])


def _operators(path):
    model = schema.Model.GetRootAs(path.read_bytes(), 0)
    return {
        model.OperatorCodes(i).CustomCode()
        for i in range(model.OperatorCodesLength())
    }


def _images(job):
    contents = [pathlib.Path(path).read_bytes() for path in job.proof.paths]
    return parity_check.decode_images(contents, job)


def test_float32_takes_pixels_of_any_batch_and_gives_probabilities(make_job):
    job = make_job()
    path = litert_formats.write(job)

    assert path == job.destination / "model.tflite"
    signature = _interpreter(path).get_signature_list()["serving_default"]
    assert signature["inputs"] == ["images"]
    (source,) = _interpreter(path).get_input_details()
    assert source["dtype"] == np.float32
    assert source["shape_signature"].tolist() == [-1, 24, 24, 3]
    got = _run(path, _images(job))
    np.testing.assert_allclose(got, job.proof.predictions, atol=1e-4)


def test_labels_are_inside(make_job):
    with zipfile.ZipFile(litert_formats.write(make_job())) as archive:
        assert archive.read("labels.txt") == b"ants\nbees\nwasps\n"


def test_a_mixed_precision_model_loads_in_the_stock_interpreter(
    make_job, mixed_model
):
    job = make_job(model=mixed_model)
    path = litert_formats.write(job)

    assert _operators(path) == {None}  # Flex operations have a custom code.
    got = _run(path, _images(job))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, job.proof.predictions, atol=3e-2)


def test_float16_and_dynamic_files_keep_float32_at_both_ends(make_job):
    job = make_job()
    for write in (litert_formats.write_float16, litert_formats.write_dynamic):
        path = write(job)
        got = _run(path, _images(job))
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, job.proof.predictions, atol=0.05)


def test_int8_takes_bytes_as_they_are_and_gives_steps_of_a_256th(make_job):
    # Pictures of middling brightness: the range must be 0..255 all the same.
    job = make_job()
    job = dataclasses.replace(job, calibration=job.proof.paths)
    path = litert_formats.write_int8(job)

    interpreter = _interpreter(path)
    (source,) = interpreter.get_input_details()
    (target,) = interpreter.get_output_details()
    assert source["dtype"] == target["dtype"] == np.uint8
    assert source["quantization"] == (1.0, 0)
    assert target["quantization"] == (1 / 256, 0)
    got = _run(path, np.rint(_images(job)).astype("uint8")) / 256
    np.testing.assert_allclose(got, job.proof.predictions, atol=0.15)


def test_an_output_of_bytes_says_what_a_byte_stands_for(make_job):
    job = make_job()
    job = dataclasses.replace(job, calibration=job.proof.paths)

    written = litert_formats.write_int8(job).read_bytes()

    assert b"A byte b stands for (b - 0) * 0.00390625." in written
    assert b"A byte b" not in litert_formats.write_dynamic(job).read_bytes()


@pytest.fixture(scope="module")
def two_sizes(keras, tiny_model):
    """The same network with two numbers, of 1e6 and of 1."""
    spread = target_transforms.Transform(
        logged=(False, False), mean=(1e6, 3.0), deviation=(1e5, 0.5)
    )
    pooled = tiny_model.layers[-4].output
    logits = keras.layers.Dense(2, name="numbers")(pooled)
    return keras.Model(
        tiny_model.inputs, network.add_output_layers(logits, spread)
    )


@pytest.mark.parametrize(
    ("write", "allowed"),
    [(litert_formats.write_int8, 0.1), (litert_formats.write_float16, 0.01)],
)
def test_small_numbers_survive_beside_large_ones(
    make_job, two_sizes, write, allowed
):
    job = make_job(model=two_sizes)
    unit = parity_check.compute_units(job.proof.predictions)
    job = dataclasses.replace(
        job, task="regression", unit=unit, calibration=job.proof.paths
    )
    path = write(job)

    (source,) = _interpreter(path).get_input_details()
    got = _run(path, np.rint(_images(job)).astype(source["dtype"]))
    assert got.dtype == np.float32
    difference = np.abs(got - job.proof.predictions) / unit
    assert difference.max() < allowed
    assert np.ptp(job.proof.predictions, axis=0).min() > 0.1


def test_two_exports_of_numbers_are_equal_in_one_process(make_job, two_sizes):
    job = make_job(model=two_sizes)
    job = dataclasses.replace(job, task="regression")
    first, second = (
        litert_file.add_metadata(
            litert_formats._convert_with_float32_end(job, lambda _: None), job
        )
        for _ in range(2)
    )
    assert first == second


def test_int8_without_training_pictures_says_what_to_do(make_job):
    with pytest.raises(errors.UsageError, match="litert_dynamic"):
        litert_formats.write_int8(make_job())


def test_quantized_files_are_judged_on_the_wider_set(make_job, pictures):
    job = make_job()
    few = dataclasses.replace(
        job.proof, paths=pictures[:2], predictions=job.proof.predictions[:2]
    )
    job = dataclasses.replace(job, proof=few, quantization_reference=job.proof)

    litert_formats.write_dynamic(job)
    litert_formats.write(job)

    record = files.read_json(job.destination / "parity.json")
    assert record["model_dynamic.tflite"]["pictures"] == len(pictures)
    assert record["model.tflite"]["pictures"] == 2


@pytest.mark.parametrize(
    "write",
    [
        litert_formats.write,
        litert_formats.write_float16,
        litert_formats.write_dynamic,
    ],
)
def test_a_failed_proof_leaves_no_file(make_job, tmp_path, write):
    with pytest.raises(errors.RunError):
        write(make_job(spoil=0.5))

    assert list((tmp_path / "export").iterdir()) == []


def test_two_exports_are_equal(make_job):
    job = make_job()
    job = dataclasses.replace(job, calibration=job.proof.paths)
    for write in (litert_formats.write, litert_formats.write_int8):
        assert write(job).read_bytes() == write(job).read_bytes()


def test_what_the_converter_does_not_know_is_a_refusal(monkeypatch):
    class Converter:
        target_spec = types.SimpleNamespace()

        def convert(self):
            raise ValueError("Some ops are not\n supported: tf.Odd" + "!" * 999)

    monkeypatch.setattr(
        litert_formats.tf.lite.TFLiteConverter,
        "from_concrete_functions",
        lambda *_: Converter(),
    )
    with pytest.raises(errors.RunError) as caught:
        litert_formats._convert_graph(None)
    assert "Some ops are not supported: tf.Odd" in str(caught.value)
    assert "--format=onnx" in str(caught.value)
    assert len(str(caught.value)) < 600


class TestTolerance:
    """Files that decide otherwise for some of five pictures."""

    @pytest.fixture
    def job(self, make_job):
        job = make_job()
        truth = job.proof.predictions.argmax(axis=1)
        wrong = job.proof.predictions.copy()
        # The evaluation is said to have been surer than the network is.
        wrong[0] = np.eye(3)[truth[0]]
        proof = dataclasses.replace(job.proof, predictions=wrong, truth=truth)
        return dataclasses.replace(job, proof=proof)

    def test_differences_are_allowed_where_nothing_is_lost(self, job):
        with pytest.raises(errors.RunError) as caught:
            litert_formats.write_float16(job)
        assert "--tolerance=accuracy:0 allows that" in str(caught.value)
        assert "--format=litert " in str(caught.value)

        job = dataclasses.replace(job, tolerance={"accuracy": 0.0})
        path = litert_formats.write_float16(job)

        figures = parity_check.read_figures(path)
        assert figures["tolerance"] == {"accuracy_loss": 0.0}
        assert figures["fresh process"]["accuracy"] == 1.0
        assert b"Exported with --tolerance" in path.read_bytes()
