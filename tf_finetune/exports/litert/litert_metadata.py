"""Metadata of a LiteRT file: labels, input range, decision.

A `.tflite` file is a flatbuffer; its metadata is another flatbuffer in one of
its buffers, and the files that the metadata names lie in a zip archive after
its end. Readers that need only the model ignore both.

Source: the schema `metadata_schema.fbs` of LiteRT's Support Library and of
MediaPipe; the numbers below are the indices of its fields.
"""

import io
import zipfile
from collections.abc import Callable, Mapping, Sequence

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tf_finetune.exports import export_files
from tf_finetune.exports import job as jobs
from tf_finetune.exports.graph import frozen_graph
from tf_finetune.exports.litert import litert_flatbuffer
from tf_finetune.tasks import catalog as tasks

_METADATA_NAME = b"TFLITE_METADATA"
_IDENTIFIER = b"M001"
# AssociatedFileType, ColorSpaceType, ContentProperties and
# ProcessUnitOptions of the schema.
_TENSOR_AXIS_LABELS = 2
_RGB = 1
_FEATURE, _IMAGE = 1, 2
_NORMALIZATION = 1


def add_metadata(model: bytes, job: jobs.ExportJob) -> bytes:
    """Adds metadata, labels and decision to a file.

    Args:
        model: A converted model of one input and one output.
        job: The export job it belongs to.
    """
    exports = tasks.TASKS.get(job.task).exports
    held = litert_flatbuffer.unpack(model)
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
    return _append_files(litert_flatbuffer.pack(held), _collect_files(job))


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


def _collect_files(job: jobs.ExportJob) -> dict[str, bytes]:
    found = {export_files.LABELS: export_files.encode_labels(job.class_names)}
    if job.decision:
        found[export_files.DECISION] = export_files.encode_decision(
            job.decision
        )
    return found


def _append_files(model: bytes, added_: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO(model)
    with zipfile.ZipFile(stream, "a") as archive:
        for name, content in added_.items():
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
    builder.Finish(_write_table(builder, 8, *fields), _IDENTIFIER)
    return bytes(builder.Output())


def _describe_tolerance(losses: Mapping[str, float]) -> str:
    told = ", ".join(f"{loss:g} of {name}" for name, loss in losses.items())
    return (
        f"Exported with --tolerance: a loss of up to {told} was allowed "
        "against the truth of the held-out pictures."
    )


def _write_input(builder: flatbuffers.Builder, size: int) -> int:
    name = builder.CreateString(frozen_graph.INPUT_NAME)
    text = builder.CreateString(
        f"RGB, 0..255, {size} x {size}; preprocessing is in the model."
    )
    default = _write_table(
        builder, 2, (0, _put_uint32, size), (1, _put_uint32, size)
    )
    image = _write_table(
        builder, 2, (0, _put_byte, _RGB), (1, _put_offset, default)
    )
    # Mean 0 and deviation 1: the model does its own preprocessing, so tools
    # must not normalize pixels.
    means, deviations = (
        _write_floats(builder, [0.0]),
        _write_floats(builder, [1.0]),
    )
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
    file = _write_file(
        builder,
        export_files.LABELS,
        "The labels.",
        (2, _put_byte, _TENSOR_AXIS_LABELS),
    )
    return _write_table(
        builder,
        7,
        (0, _put_offset, name),
        (1, _put_offset, text),
        (
            3,
            _put_offset,
            _write_union(builder, _FEATURE, _write_table(builder, 0)),
        ),
        (6, _put_offset, _write_vector(builder, [file])),
    )


def _write_file(
    builder: flatbuffers.Builder, name: str, text: str, *fields: "_Field"
) -> int:
    named, said = builder.CreateString(name), builder.CreateString(text)
    return _write_table(
        builder, 4, (0, _put_offset, named), (1, _put_offset, said), *fields
    )


_Field = tuple[int, Callable[[flatbuffers.Builder, int, int], None], int]


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


def _write_floats(builder: flatbuffers.Builder, values: Sequence[float]) -> int:
    builder.StartVector(4, len(values), 4)
    for each in reversed(values):
        builder.PrependFloat32(each)
    return builder.EndVector()
