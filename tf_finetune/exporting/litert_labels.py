"""The class names inside a LiteRT file, where its tools look for them.

A `.tflite` file is a flatbuffer; its metadata is another flatbuffer in one of
its buffers, and the files that the metadata names lie in a zip archive after
its end. Readers of the model alone ignore both.

Source: the schema `metadata_schema.fbs` of LiteRT's Support Library and of
MediaPipe; the numbers below are the places of its fields.
"""

import io
import zipfile
from collections.abc import Callable, Sequence

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tf_finetune.exporting import layout

_ENTRY = b"TFLITE_METADATA"
_IDENTIFIER = b"M001"
_TENSOR_AXIS_LABELS = 2
_RGB = 1
_FEATURE, _IMAGE = 1, 2
_NORMALIZATION = 1
# The constants of a model are aligned to 16 bytes.
_ALIGNMENT = 16


def added(model: bytes, class_names: Sequence[str], image_size: int) -> bytes:
    """Returns the file with its metadata and labels.

    Args:
        model: A converted model of one input and one output.
        class_names: In the order of the output.
        image_size: Side of the input, pixels.
    """
    held = schema.ModelT.InitFromObj(schema.Model.GetRootAs(model, 0))
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(_metadata(image_size), dtype="uint8")
    held.buffers.append(buffer)
    entry = schema.MetadataT()
    entry.name, entry.buffer = _ENTRY, len(held.buffers) - 1
    held.metadata = [*(held.metadata or []), entry]
    builder = _Builder(len(model))
    builder.Finish(held.Pack(builder), b"TFL3")
    return _with_file(bytes(builder.Output()), class_names)


class _Builder(flatbuffers.Builder):
    """A builder that keeps constants aligned, as the schema of models asks."""

    def CreateNumpyVector(self, x: np.ndarray) -> int:
        self.Prep(_ALIGNMENT, x.nbytes)
        return super().CreateNumpyVector(x)


def _with_file(model: bytes, class_names: Sequence[str]) -> bytes:
    stream = io.BytesIO(model)
    # A class may be called after a folder whose name is no UTF-8.
    text = "".join(f"{name}\n" for name in class_names)
    with zipfile.ZipFile(stream, "a") as archive:
        # ZipInfo's own date is fixed: the same labels give the same bytes.
        archive.writestr(
            zipfile.ZipInfo(layout.LABELS),
            text.encode(errors="surrogateescape"),
        )
    return stream.getvalue()


def _metadata(image_size: int) -> bytes:
    builder = flatbuffers.Builder(1024)
    images = _images(builder, image_size)
    probabilities = _probabilities(builder)
    subgraph = _table(
        builder,
        10,
        (2, _offset, _vector(builder, [images])),
        (3, _offset, _vector(builder, [probabilities])),
    )
    fields = [
        (0, _offset, builder.CreateString("tf_finetune")),
        (3, _offset, _vector(builder, [subgraph])),
        (7, _offset, builder.CreateString("1.0.0")),
    ]
    builder.Finish(_table(builder, 8, *fields), _IDENTIFIER)
    return bytes(builder.Output())


def _images(builder: flatbuffers.Builder, size: int) -> int:
    name = builder.CreateString("images")
    text = builder.CreateString(
        f"RGB, 0..255, {size} x {size}; preprocessing is in the model."
    )
    default = _table(builder, 2, (0, _uint32, size), (1, _uint32, size))
    image = _table(builder, 2, (0, _byte, _RGB), (1, _offset, default))
    # The model does its own preprocessing; tools must leave pixels alone.
    means, deviations = _floats(builder, [0.0]), _floats(builder, [1.0])
    options = _table(builder, 2, (0, _offset, means), (1, _offset, deviations))
    unit = _union(builder, _NORMALIZATION, options)
    return _table(
        builder,
        7,
        (0, _offset, name),
        (1, _offset, text),
        (3, _offset, _union(builder, _IMAGE, image)),
        (4, _offset, _vector(builder, [unit])),
    )


def _probabilities(builder: flatbuffers.Builder) -> int:
    name = builder.CreateString("probabilities")
    file = _table(
        builder,
        4,
        (0, _offset, builder.CreateString(layout.LABELS)),
        (2, _byte, _TENSOR_AXIS_LABELS),
    )
    return _table(
        builder,
        7,
        (0, _offset, name),
        (3, _offset, _union(builder, _FEATURE, _table(builder, 0))),
        (6, _offset, _vector(builder, [file])),
    )


def _table(
    builder: flatbuffers.Builder,
    slots: int,
    *fields: tuple[int, Callable[[flatbuffers.Builder, int, int], None], int],
) -> int:
    builder.StartObject(slots)
    for slot, put, value in fields:
        put(builder, slot, value)
    return builder.EndObject()


def _union(builder: flatbuffers.Builder, kind: int, value: int) -> int:
    return _table(builder, 2, (0, _byte, kind), (1, _offset, value))


def _offset(builder: flatbuffers.Builder, slot: int, value: int) -> None:
    builder.PrependUOffsetTRelativeSlot(slot, value, 0)


def _byte(builder: flatbuffers.Builder, slot: int, value: int) -> None:
    builder.PrependUint8Slot(slot, value, 0)


def _uint32(builder: flatbuffers.Builder, slot: int, value: int) -> None:
    builder.PrependUint32Slot(slot, value, 0)


def _vector(builder: flatbuffers.Builder, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for each in reversed(offsets):
        builder.PrependUOffsetTRelative(each)
    return builder.EndVector()


def _floats(builder: flatbuffers.Builder, values: Sequence[float]) -> int:
    builder.StartVector(4, len(values), 4)
    for each in reversed(values):
        builder.PrependFloat32(each)
    return builder.EndVector()
