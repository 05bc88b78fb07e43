"""Concatenation of two LiteRT models: the second takes the first's output.

A converter quantizes a tensor as a whole: several outputs share one scale,
however different their magnitudes. Layers that must stay exact are therefore
converted separately and appended to the quantized network.
"""

import copy
from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

_IDENTIFIER = b"TFL3"
# The constants of a model are aligned to 16 bytes.
_ALIGNMENT = 16


class _AlignedBuilder(flatbuffers.Builder):
    """Flatbuffer builder that aligns constants as the model schema requires."""

    def CreateNumpyVector(self, x: Any) -> int:
        self.Prep(_ALIGNMENT, x.nbytes)
        return super().CreateNumpyVector(x)


def unpack(model: bytes) -> schema.ModelT:
    """Unpacks a file into mutable objects of the schema."""
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(model, 0))


def pack(held: schema.ModelT) -> bytes:
    """Serializes objects of the schema to a file."""
    builder = _AlignedBuilder(1024)
    builder.Finish(held.Pack(builder), _IDENTIFIER)
    return bytes(builder.Output())


def join_models(first: bytes, second: bytes) -> bytes:
    """Joins two models: the second takes the output of the first.

    Args:
        first: A file of one subgraph with one output, whose signature stays.
        second: One of one subgraph with one input of the same type and shape,
            and one output.
    """
    # Operators refer to their code, tensors to their buffer, by index; those of
    # the second part move up by the number of the first part's.
    held, added = unpack(first), unpack(second)
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
    return pack(held)


def _map_tensor_indices(
    graph: schema.SubGraphT, behind: schema.SubGraphT
) -> dict[int, int]:
    """Maps tensor indices of the second part to those in the whole.

    Its input becomes the first part's output; -1, an optional input that an
    operator leaves out, stays.
    """
    places, free = {-1: -1}, len(graph.tensors)
    for number in range(len(behind.tensors)):
        if number == behind.inputs[0]:
            places[number] = int(graph.outputs[0])
        else:
            places[number] = free
            free += 1
    return places
