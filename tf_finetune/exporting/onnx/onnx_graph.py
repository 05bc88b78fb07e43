"""A frozen graph in the operations that tf2onnx knows.

Two things that Keras makes are unknown to it, though ONNX can compute them: a
function that TensorFlow has to compile, which is how Keras computes a
convolution in groups, and `Erfc`, which is in the exact GELU.
"""

from typing import Any

_MUST_COMPILE = "_XlaMustCompile"


def translated(graph: Any) -> Any:
    """Returns a graph that computes the same; the one given is changed.

    Args:
        graph: A `GraphDef` without variables.
    """
    calls = (*graph.library.function, *graph.node)
    for call in [each for each in calls if _MUST_COMPILE in each.attr]:
        # With either of them a call is not replaced by what is called.
        for mark in (_MUST_COMPILE, "_noinline"):
            call.attr.pop(mark, None)
    for node in [node for node in graph.node if node.op == "Erfc"]:
        _without_complement(graph, node)
    return graph


def _without_complement(graph: Any, node: Any) -> None:
    """Makes erfc(x) one minus erf(x), under the same name.

    Where erfc is tiny that has not its digits, but of a sum with numbers of
    ordinary size it has all.
    """
    dtype = node.attr["T"].type
    one = graph.node.add(name=f"{node.name}/one", op="Const")
    one.attr["dtype"].type = one.attr["value"].tensor.dtype = dtype
    one.attr["value"].tensor.tensor_shape.SetInParent()
    one.attr["value"].tensor.float_val.append(1.0)
    erf = graph.node.add(name=f"{node.name}/erf", op="Erf", input=node.input)
    erf.attr["T"].type = dtype
    node.op = "Sub"
    node.input[:] = [one.name, erf.name]
