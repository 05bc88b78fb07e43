"""Edits of LiteRT files: two models joined, and metadata added.

A `.tflite` file is a flatbuffer; its metadata (labels, input range, decision)
is another flatbuffer in one of its buffers, and the files that the metadata
names lie in a zip archive after its end. Readers that need only the model
ignore both.

Source: the schema `metadata_schema.fbs` of LiteRT's Support Library and of
MediaPipe; the numbers below are the indices of its fields.
"""

import copy
import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tf_finetune.exports import export_files, float32_model
from tf_finetune.exports import job as jobs
from tf_finetune.tasks import catalog as tasks

_METADATA_NAME = b"TFLITE_METADATA"
_METADATA_IDENTIFIER = b"M001"
# AssociatedFileType, ColorSpaceType, ContentProperties and
# ProcessUnitOptions of the schema.
_TENSOR_AXIS_LABELS = 2
_RGB = 1
_FEATURE, _IMAGE = 1, 2
_NORMALIZATION = 1
_Field = tuple[int, Callable[[flatbuffers.Builder, int, int], None], int]
_MODEL_IDENTIFIER = b"TFL3"
# The constants of a model are aligned to 16 bytes.
_ALIGNMENT = 16


class _AlignedBuilder(flatbuffers.Builder):
    """Flatbuffer builder that aligns constants as the model schema requires."""

    def CreateNumpyVector(self, x: Any) -> int:
        self.Prep(_ALIGNMENT, x.nbytes)
        return super().CreateNumpyVector(x)


def add_metadata(model: bytes, job: jobs.ExportJob) -> bytes:
    """Adds metadata, labels and decision (thresholds) to a `.tflite` file.

    Args:
        model: Contents of a converted model of one input and one output.
        job: The export job it belongs to.

    Returns:
        Contents of the new file.
    """
    exports = tasks.TASKS.get(job.task).exports
    held = _unpack(model)
    _name_outputs(held, exports.output)
    metadata = _build_metadata(
        job, exports.output, exports.meaning + _describe_quantization(held)
    )
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(metadata, dtype="uint8")
    held.buffers.append(buffer)
    entry = schema.MetadataT()
    entry.name, entry.buffer = _METADATA_NAME, len(held.buffers) - 1
    held.metadata = [*(held.metadata or []), entry]
    return _append_files(
        _pack(held),
        export_files.encode_members(job.class_names, job.decision),
    )


def join_models(first: bytes, second: bytes) -> bytes:
    """Joins two `.tflite` models into one: the second takes the first's output.

    A converter quantizes a tensor as a whole: several outputs share one scale,
    however different their magnitudes. Layers that must stay exact are
    therefore converted separately and appended to the quantized network.

    Args:
        first: File of one subgraph with one output; its signature stays.
        second: File of one subgraph with one output, and one input of the type
            and shape of the first's output.

    Returns:
        Contents of the joined file.
    """
    # Operators refer to their code, tensors to their buffer, by index; those of
    # the second part move up by the number of the first part's.
    held, added = _unpack(first), _unpack(second)
    graph, behind = held.subgraphs[0], added.subgraphs[0]
    codes, buffers = len(held.operatorCodes), len(held.buffers)
    places = _map_tensor_indices(graph, behind)
    held.operatorCodes += added.operatorCodes
    held.buffers += added.buffers
    for number, tensor in enumerate(behind.tensors):
        if number != behind.inputs[0]:
            tensor = copy.copy(tensor)
            tensor.buffer += buffers
            graph.tensors.append(tensor)
    for operator in behind.operators:
        operator.opcodeIndex += codes
        operator.inputs = [places[each] for each in operator.inputs]
        operator.outputs = [places[each] for each in operator.outputs]
        graph.operators.append(operator)
    graph.outputs = [places[each] for each in behind.outputs]
    for signature in held.signatureDefs or []:
        signature.outputs[0].tensorIndex = graph.outputs[0]
    return _pack(held)


def _name_outputs(held: schema.ModelT, output: str) -> None:
    """Gives the output the task's name for it, for readers by name."""
    for graph in held.subgraphs or []:
        graph.tensors[graph.outputs[0]].name = output.encode()
    for signature in held.signatureDefs or []:
        signature.outputs[0].name = output.encode()


def _describe_quantization(held: schema.ModelT) -> str:
    """Describes how to read a uint8 output; empty for other types."""
    for graph in held.subgraphs or []:
        tensor = graph.tensors[graph.outputs[0]]
        if tensor.type == schema.TensorType.UINT8:
            # value = scale * (byte - zero_point), LiteRT's quantization
            # specification.
            scale = float(tensor.quantization.scale[0])
            zero = int(tensor.quantization.zeroPoint[0])
            return f" A byte b stands for (b - {zero}) * {scale:.9g}."
    return ""


def _append_files(model: bytes, added: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO(model)
    with zipfile.ZipFile(stream, "a") as archive:
        for name, content in added.items():
            # ZipInfo's default date is fixed: equal labels give equal bytes.
            archive.writestr(zipfile.ZipInfo(name), content)
    return stream.getvalue()


def _build_metadata(job: jobs.ExportJob, output: str, meaning: str) -> bytes:
    builder = flatbuffers.Builder(1024)
    images = _write_input(builder, job.image_size)
    predictions = _write_output(builder, output, meaning)
    subgraph = _write_table(
        builder,
        10,
        (2, _put_offset, _write_vector(builder, [images])),
        (3, _put_offset, _write_vector(builder, [predictions])),
    )
    # Fields of ModelMetadata: name, subgraphs and, as 7, the oldest version of
    # the parser; below 1, the description, and 6, associated files.
    fields = [
        (0, _put_offset, builder.CreateString("tf_finetune")),
        (3, _put_offset, _write_vector(builder, [subgraph])),
        (7, _put_offset, builder.CreateString("1.0.0")),
    ]
    if job.tolerance:
        told = builder.CreateString(_describe_tolerance(job.tolerance))
        fields.append((1, _put_offset, told))
    if job.decision:
        file = _write_file(
            builder, export_files.DECISION, "Decided on validation."
        )
        fields.append((6, _put_offset, _write_vector(builder, [file])))
    builder.Finish(_write_table(builder, 8, *fields), _METADATA_IDENTIFIER)
    return bytes(builder.Output())


def _describe_tolerance(losses: Mapping[str, float]) -> str:
    told = ", ".join(f"{loss:g} of {name}" for name, loss in losses.items())
    return (
        f"Exported with --tolerance: a loss of up to {told} was allowed "
        "against the truth of the held-out pictures."
    )


def _write_input(builder: flatbuffers.Builder, size: int) -> int:
    name = builder.CreateString(float32_model.INPUT_NAME)
    text = builder.CreateString(
        f"RGB, 0..255, {size} x {size}; preprocessing is in the model."
    )
    default = _write_table(
        builder, 2, (0, _put_uint32, size), (1, _put_uint32, size)
    )
    image = _write_table(
        builder, 2, (0, _put_byte, _RGB), (1, _put_offset, default)
    )
    # Mean 0, deviation 1: tools must not normalize pixels; the model does.
    means = _write_float(builder, 0.0)
    deviations = _write_float(builder, 1.0)
    options = _write_table(
        builder, 2, (0, _put_offset, means), (1, _put_offset, deviations)
    )
    unit = _write_union(builder, _NORMALIZATION, options)
    return _write_table(
        builder,
        7,
        (0, _put_offset, name),
        (1, _put_offset, text),
        (3, _put_offset, _write_union(builder, _IMAGE, image)),
        (4, _put_offset, _write_vector(builder, [unit])),
    )


def _write_output(
    builder: flatbuffers.Builder, output: str, meaning: str
) -> int:
    name, text = builder.CreateString(output), builder.CreateString(meaning)
    axis = (2, _put_byte, _TENSOR_AXIS_LABELS)
    file = _write_file(builder, export_files.LABELS, "The labels.", axis)
    feature = _write_union(builder, _FEATURE, _write_table(builder, 0))
    return _write_table(
        builder,
        7,
        (0, _put_offset, name),
        (1, _put_offset, text),
        (3, _put_offset, feature),
        (6, _put_offset, _write_vector(builder, [file])),
    )


def _write_file(
    builder: flatbuffers.Builder, name: str, text: str, *fields: "_Field"
) -> int:
    named, said = builder.CreateString(name), builder.CreateString(text)
    return _write_table(
        builder, 4, (0, _put_offset, named), (1, _put_offset, said), *fields
    )


def _write_table(
    builder: flatbuffers.Builder, slots: int, *fields: _Field
) -> int:
    builder.StartObject(slots)
    for slot, put, value in fields:
        put(builder, slot, value)
    return builder.EndObject()


def _write_union(builder: flatbuffers.Builder, kind: int, value: int) -> int:
    return _write_table(
        builder, 2, (0, _put_byte, kind), (1, _put_offset, value)
    )


def _put_offset(builder: flatbuffers.Builder, slot: int, value: int) -> None:
    builder.PrependUOffsetTRelativeSlot(slot, value, 0)


def _put_byte(builder: flatbuffers.Builder, slot: int, value: int) -> None:
    builder.PrependUint8Slot(slot, value, 0)


def _put_uint32(builder: flatbuffers.Builder, slot: int, value: int) -> None:
    builder.PrependUint32Slot(slot, value, 0)


def _write_vector(builder: flatbuffers.Builder, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    # A flatbuffer is built from its end to its start, so the last goes first.
    for each in reversed(offsets):
        builder.PrependUOffsetTRelative(each)
    return builder.EndVector()


def _write_float(builder: flatbuffers.Builder, value: float) -> int:
    builder.StartVector(4, 1, 4)
    builder.PrependFloat32(value)
    return builder.EndVector()


def _unpack(model: bytes) -> schema.ModelT:
    """Unpacks a file into mutable objects of the schema."""
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(model, 0))


def _pack(held: schema.ModelT) -> bytes:
    """Serializes objects of the schema to a file."""
    builder = _AlignedBuilder(1024)
    builder.Finish(held.Pack(builder), _MODEL_IDENTIFIER)
    return bytes(builder.Output())


def _map_tensor_indices(
    graph: schema.SubGraphT, behind: schema.SubGraphT
) -> dict[int, int]:
    """Maps tensor indices of the second part to those in the whole."""
    places, free = {-1: -1}, len(graph.tensors)
    for number in range(len(behind.tensors)):
        if number == behind.inputs[0]:
            places[number] = int(graph.outputs[0])
        else:
            places[number] = free
            free += 1
    return places
