"""Two LiteRT files as one that computes the first and then the second.

What a converter quantises it quantises as a whole: the numbers of several
outputs get one scale, however unlike their sizes are. A last part that must
keep every digit is therefore converted by itself and put behind the rest.
"""

import copy
from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

_IDENTIFIER = b"TFL3"
# The constants of a model are aligned to 16 bytes.
_ALIGNMENT = 16


class _Builder(flatbuffers.Builder):
    """A builder that keeps constants aligned, as the schema of models asks."""

    def CreateNumpyVector(self, x: Any) -> int:
        self.Prep(_ALIGNMENT, x.nbytes)
        return super().CreateNumpyVector(x)


def read(model: bytes) -> schema.ModelT:
    """Returns what a file holds, as objects that can be changed."""
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(model, 0))


def packed(held: schema.ModelT) -> bytes:
    """Returns the file of such objects."""
    builder = _Builder(1024)
    builder.Finish(held.Pack(builder), _IDENTIFIER)
    return bytes(builder.Output())


def joined(first: bytes, second: bytes) -> bytes:
    """Returns a model whose second part takes what the first one gives.

    Args:
        first: A file of one subgraph with one output, whose signature stays.
        second: One of one subgraph with one input of the same type and shape,
            and one output.
    """
    held, added = read(first), read(second)
    graph, behind = held.subgraphs[0], added.subgraphs[0]
    codes, buffers = len(held.operatorCodes), len(held.buffers)
    places = _places(graph, behind)
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
    return packed(held)


def _places(
    graph: schema.SubGraphT, behind: schema.SubGraphT
) -> dict[int, int]:
    """Returns where each tensor of the second part is in the whole.

    Its input is what the first part gives; an operator's input that is left
    out, -1, stays so.
    """
    places, free = {-1: -1}, len(graph.tensors)
    for number in range(len(behind.tensors)):
        if number == behind.inputs[0]:
            places[number] = int(graph.outputs[0])
        else:
            places[number] = free
            free += 1
    return places
