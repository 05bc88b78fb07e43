"""Translation of a frozen graph into operations that tf2onnx knows.

It does not know two of Keras' constructs, though ONNX can compute them: a
function that XLA must compile, which is how Keras computes a grouped
convolution, and `Erfc`, which is in the exact GELU.
"""

from typing import Any

_MUST_COMPILE = "_XlaMustCompile"


def translate_graph(graph: Any) -> Any:
    """Translates a graph in place and returns it; it computes the same.

    Args:
        graph: A `GraphDef` without variables.
    """
    calls = (*graph.library.function, *graph.node)
    for call in [each for each in calls if _MUST_COMPILE in each.attr]:
        # Either attribute keeps TensorFlow from inlining the function.
        for mark in (_MUST_COMPILE, "_noinline"):
            call.attr.pop(mark, None)
    for node in [node for node in graph.node if node.op == "Erfc"]:
        _replace_erfc(graph, node)
    return graph


def _replace_erfc(graph: Any, node: Any) -> None:
    """Replaces erfc(x) by 1 - erf(x), under the same name.

    Where erfc is tiny the difference loses its digits to cancellation, but not
    as a term beside numbers of ordinary size, as in GELU.
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
