"""Metadata and labels, read back by the places of the schema's fields."""

import json
import os
import pathlib
import zipfile

import flatbuffers
import numpy as np
import pytest

pytest.importorskip("ai_edge_litert")

import pytest
import tensorflow as tf
from ai_edge_litert import interpreter as interpreters
from ai_edge_litert import schema_py_generated as schema

from tf_finetune.exports import job as jobs
from tf_finetune.exports import litert_file

_DECISION = {"thresholds": {"ants": 0.25}}


def _bare_model():
    """A model of one constant and nothing else."""
    model = schema.ModelT()
    model.version = 3
    constant, odd = schema.BufferT(), schema.BufferT()
    constant.data = np.arange(40, dtype="uint8")
    odd.data = np.arange(3, dtype="uint8")
    model.buffers = [schema.BufferT(), odd, constant]
    builder = flatbuffers.Builder(64)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _job(task="classification", **changes):
    return jobs.ExportJob(
        model=None,
        class_names=("ants", "bees", os.fsdecode(b"caf\xe9")),
        image_size=224,
        resize="squash",
        destination=pathlib.Path(),
        proof=jobs.ParityReference(paths=("a",), predictions=np.zeros([1, 3])),
        task=task,
        **changes,
    )


@pytest.fixture(scope="module")
def labeled():
    return litert_file.add_metadata(_bare_model(), _job())


@pytest.fixture(scope="module")
def decided():
    job = _job(task="multilabel", decision=_DECISION)
    return litert_file.add_metadata(_bare_model(), job)


def _metadata(labeled):
    model = schema.Model.GetRootAs(labeled, 0)
    entry = model.Metadata(model.MetadataLength() - 1)
    assert entry.Name() == b"TFLITE_METADATA"
    return model.Buffers(entry.Buffer()).DataAsNumpy().tobytes()


class _Table:
    """Reads a flatbuffer by the numbers of its fields."""

    def __init__(self, data, position):
        self.table = flatbuffers.table.Table(data, position)

    @classmethod
    def root(cls, data):
        encoding = flatbuffers.encode
        kind = flatbuffers.packer.uoffset
        return cls(data, encoding.Get(kind, data, 0))

    def _offset(self, slot):
        offset = self.table.Offset(4 + 2 * slot)
        assert offset, f"field {slot} is absent"
        return offset + self.table.Pos

    def text(self, slot):
        return self.table.String(self._offset(slot)).decode()

    def number(self, slot, flags):
        return self.table.Get(flags, self._offset(slot))

    def child(self, slot):
        return _Table(self.table.Bytes, self.table.Indirect(self._offset(slot)))

    def first(self, slot):
        offset = self._offset(slot) - self.table.Pos
        assert self.table.VectorLen(offset) == 1
        start = self.table.Vector(offset)
        return _Table(self.table.Bytes, self.table.Indirect(start))

    def floats(self, slot):
        offset = self._offset(slot) - self.table.Pos
        flags = flatbuffers.number_types.Float32Flags
        return self.table.GetVectorAsNumpy(flags, offset).tolist()


def test_the_output_names_the_file_of_labels_of_its_axis(labeled):
    byte = flatbuffers.number_types.Uint8Flags
    data = _metadata(labeled)
    assert data[4:8] == b"M001"
    subgraph = _Table.root(data).first(3)
    output = subgraph.first(3)
    file = output.first(6)

    assert output.text(0) == "probabilities"
    assert "each class" in output.text(1)
    assert file.text(0) == "labels.txt"
    assert file.number(2, byte) == 2  # TENSOR_AXIS_LABELS


def test_the_input_is_a_picture_that_is_not_to_be_normalized(labeled):
    byte = flatbuffers.number_types.Uint8Flags
    image = _Table.root(_metadata(labeled)).first(3).first(2)
    content, unit = image.child(3), image.first(4)

    assert image.text(0) == "images"
    assert content.number(0, byte) == 2  # ImageProperties
    assert content.child(1).number(0, byte) == 1  # RGB
    assert unit.number(0, byte) == 1  # NormalizationOptions
    assert unit.child(1).floats(0) == [0.0]
    assert unit.child(1).floats(1) == [1.0]


def test_the_labels_lie_in_an_archive_at_the_end(labeled, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(labeled)

    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["labels.txt"]
        assert archive.read("labels.txt") == b"ants\nbees\ncaf\xe9\n"


def test_what_was_decided_lies_beside_the_labels(decided, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(decided)

    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["labels.txt", "decision.json"]
        assert json.loads(archive.read("decision.json")) == _DECISION
    root = _Table.root(_metadata(decided))
    assert root.first(6).text(0) == "decision.json"
    assert root.first(3).first(3).first(6).text(0) == "labels.txt"


def test_values_are_not_called_probabilities():
    written = litert_file.add_metadata(_bare_model(), _job(task="regression"))
    output = _Table.root(_metadata(written)).first(3).first(3)

    assert output.text(0) == "values"
    assert "units" in output.text(1)


def test_a_loss_that_was_allowed_stands_in_the_description(labeled):
    job = _job(tolerance={"accuracy": 0.08})
    written = litert_file.add_metadata(_bare_model(), job)
    told = _Table.root(_metadata(written)).text(1)
    assert "--tolerance" in told and "0.08 of accuracy" in told
    assert litert_file.add_metadata(_bare_model(), _job()) == labeled
    assert labeled != written


def test_constants_survive_and_are_aligned(labeled):
    model = schema.Model.GetRootAs(labeled, 0)
    whole = np.frombuffer(labeled, dtype="uint8").ctypes.data

    assert model.Buffers(2).DataAsNumpy().tolist() == list(range(40))
    for index in range(1, model.BuffersLength()):
        assert (
            model.Buffers(index).DataAsNumpy().ctypes.data - whole
        ) % 16 == 0


def test_the_same_labels_give_the_same_bytes():
    first, second = (
        litert_file.add_metadata(_bare_model(), _job()) for _ in range(2)
    )
    assert first == second


pytest.importorskip("ai_edge_litert")


pytest.importorskip("tensorflow")


def _file(function, shape, name):
    """Converts a function of one argument."""
    spec = tf.TensorSpec(shape, tf.float32, name=name)
    concrete = tf.function(function).get_concrete_function(spec)
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [concrete], tf.Module()
    )
    return converter.convert()


@pytest.fixture(scope="module")
def joined():
    """Sums of rows times (1, 2, 3), and e to the power of them plus one."""
    factors = np.array([1, 2, 3], "float32")
    first = _file(
        lambda x: tf.reduce_sum(x, axis=1)[:, tf.newaxis] * factors,
        [None, 4],
        "rows",
    )
    second = _file(lambda x: tf.exp(x) + [1.0, 0, 10], [None, 3], "sums")
    return litert_file.join_models(first, second)


@pytest.mark.parametrize("count", [1, 5])
def test_the_second_takes_what_the_first_gives(joined, count):
    interpreter = interpreters.Interpreter(model_content=joined)
    (source,) = interpreter.get_input_details()
    (target,) = interpreter.get_output_details()
    rows = np.random.default_rng(0).uniform(0, 0.5, [count, 4])
    rows = rows.astype("float32")
    interpreter.resize_tensor_input(source["index"], rows.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(source["index"], rows)
    interpreter.invoke()

    sums = rows.sum(axis=1, keepdims=True) * [1, 2, 3]
    np.testing.assert_allclose(
        interpreter.get_tensor(target["index"]),
        np.exp(sums) + [1, 0, 10],
        rtol=1e-5,
    )


def test_the_signature_is_that_of_the_whole(joined):
    interpreter = interpreters.Interpreter(model_content=joined)
    run = interpreter.get_signature_runner()

    (answer,) = run(rows=np.zeros([1, 4], "float32")).values()

    np.testing.assert_allclose(answer, [[2, 1, 11]], rtol=1e-6)
