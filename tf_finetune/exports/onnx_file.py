"""Export to ONNX, converted by tf2onnx and checked in ONNX Runtime."""

import contextlib
import json
import logging
import pathlib
from collections.abc import Iterator
from typing import Any

import onnx
import tensorflow as tf
from absl import logging as absl_logging
from tf2onnx import optimizer, tf_loader, tfonnx

from tf_finetune.exports import catalog, float32_model, pending_exports
from tf_finetune.exports import job as jobs
from tf_finetune.exports.parity import export_refusal, file_checks, parity_check
from tf_finetune.tasks import catalog as tasks

# The same float32 weights; the converter folds batch norm and transposes the
# images (NHWC to NCHW), and another library sums in another order.
_TOLERANCE = 1e-4
# Version of the operator set; old enough for every runtime in use.
_OPSET = 15
# Alternatives to suggest for a network that is refused, the closest first.
_ALTERNATIVES = ("litert", "saved_model", "keras")
_MUST_COMPILE = "_XlaMustCompile"


def write(job: jobs.ExportJob) -> pathlib.Path:
    """Writes `model.onnx` in float32 and checks it in ONNX Runtime.

    The file takes `images`, float32 [batch, size, size, 3], RGB 0..255, of any
    batch size, and returns the predictions under the task's name for them,
    float32 [batch, …, outputs]. Its metadata properties hold `labels`, a JSON
    array in the order of the outputs, `input` and `output`, which describe
    both, and `decision`, as in evaluation.json, if the task chose values on
    validation (thresholds).

    Returns:
        Path of the written file.

    Raises:
        RunError: tf2onnx cannot convert the network, or the file predicts
            something else; it is removed.
        UsageError: The destination cannot be written.
    """
    path = job.file("model", catalog.SUFFIXES["onnx"])
    with pending_exports.open_file(path) as file:
        held = _convert_job(job)
        _add_metadata(held, job)
        onnx.save(held, file.temporary)
        allowed = max(_TOLERANCE, parity_check.choose_tolerance(job))
        figures = file_checks.check_exact(
            "onnx.py", file, job, allowed=allowed, instead=_ALTERNATIVES
        )
        file.record_figures(figures)
    return path


def translate_graph(graph: Any) -> Any:
    """Rewrites a graph in place so that tf2onnx can convert it.

    It makes functions inlinable that XLA must compile, and replaces erfc(x) by
    1 - erf(x).

    Args:
        graph: A `GraphDef` without variables.

    Returns:
        The same object; it computes the same but for rounding.
    """
    calls = (*graph.library.function, *graph.node)
    for call in [each for each in calls if _MUST_COMPILE in each.attr]:
        # Either attribute keeps TensorFlow from inlining the function.
        for mark in (_MUST_COMPILE, "_noinline"):
            call.attr.pop(mark, None)
    for node in [node for node in graph.node if node.op == "Erfc"]:
        _replace_erfc(graph, node)
    return graph


def _convert_job(job: jobs.ExportJob) -> onnx.ModelProto:
    """Converts a frozen graph.

    Not by Keras' own export, which leaves the statistics of a Normalization
    layer among the inputs and patches NumPy for the whole process.
    """
    frozen = float32_model.freeze_job(job)
    with _silence_logger("tf2onnx"), _silence_logger("tensorflow"):
        try:
            held = _convert_graph(frozen, careful=False)
        # Any of tf2onnx's passes may fail with any error; the careful way skips
        # that pass, at two to four times the cost.
        except Exception as error:
            absl_logging.info(
                "tf2onnx failed and is retried with copies of the graph: %r",
                error,
            )
            held = _convert_carefully(frozen)
    # tf2onnx leaves operations that it cannot convert in the graph.
    unknown = {
        node.op_type
        for node in held.graph.node
        if not onnx.defs.has(node.op_type, node.domain)
    }
    if unknown:
        raise export_refusal.ExportRefusedError(
            "This network cannot be exported to ONNX: the converter tf2onnx "
            "does not know TensorFlow's operations "
            f"{', '.join(sorted(unknown))}.",
            instead=_ALTERNATIVES,
        )
    return held


def _convert_carefully(frozen: Any) -> onnx.ModelProto:
    try:
        return _convert_graph(frozen, careful=True)
    except Exception as error:
        raise export_refusal.ExportRefusedError(
            "This network cannot be exported to ONNX: the converter tf2onnx "
            f"fails with {error!r}.",
            instead=_ALTERNATIVES,
        ) from error


def _convert_graph(frozen: Any, *, careful: bool) -> onnx.ModelProto:
    """Converts a frozen graph as `tf2onnx.convert.from_graph_def` does.

    That function copies the network with its weights before each of two dozen
    passes, to be able to skip one that fails, and so takes two to four times
    as long: 8.3 instead of 2.9 seconds for a MobileNetV2.

    Args:
        frozen: A concrete function of one input and one output.
        careful: Whether to copy the graph before each pass.
    """
    names = {
        "input_names": [frozen.inputs[0].name],
        "output_names": [frozen.outputs[0].name],
    }
    # Constants are folded here; the CPU is enough for that.
    with tf.device("/cpu:0"), tf.Graph().as_default():
        optimized = tf_loader.tf_optimize(
            *names.values(),
            translate_graph(frozen.graph.as_graph_def()),
        )
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(optimized, name="")
        converted = tfonnx.process_tf_graph(
            graph, opset=_OPSET, continue_on_error=True, **names
        )
    converted = optimizer.optimize_graph(converted, catch_errors=careful)
    return converted.make_model("converted by tf2onnx")


@contextlib.contextmanager
def _silence_logger(name: str) -> Iterator[None]:
    # Its errors are in our own message; the rest of its log is noise.
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def _add_metadata(held: onnx.ModelProto, job: jobs.ExportJob) -> None:
    """Names inputs and outputs, adds the labels, and validates the file."""
    exports = tasks.TASKS.get(job.task).exports
    _rename_tensors(held.graph, exports.output)
    for value in (held.graph.input[0], held.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    decision = {}
    if job.decision:
        decision["decision"] = json.dumps(dict(job.decision))
    onnx.helper.set_model_props(
        held,
        {
            # ASCII, escaped: the name of a class may come from a folder whose
            # name is not UTF-8.
            "labels": json.dumps(job.class_names),
            "input": "RGB, 0..255; preprocessing is in the model",
            "output": exports.meaning,
            **decision,
        },
    )
    onnx.checker.check_model(held, full_check=True)


def _rename_tensors(graph: onnx.GraphProto, output: str) -> None:
    """Numbers nodes, tensors and constants in the order of their use.

    The converter's names and the order of its constants depend on Python's
    hashes, which differ between processes, so no two files would be equal.
    """
    constants = {each.name: each for each in graph.initializer}
    names = {graph.input[0].name: float32_model.INPUT_NAME}
    names[graph.output[0].name] = output
    ordered = []
    for place, node in enumerate(graph.node):
        for name in (*node.input, *node.output):
            if name in constants and name not in names:
                names[name] = f"constant_{len(ordered)}"
                ordered.append(constants[name])
            # An empty name is an optional input that is left out.
            elif name:
                names.setdefault(name, f"value_{len(names)}")
        node.input[:] = [names.get(name, "") for name in node.input]
        node.output[:] = [names.get(name, "") for name in node.output]
        node.name = f"{node.op_type}_{place}"
    for constant in ordered:
        constant.name = names[constant.name]
    del graph.initializer[:], graph.value_info[:]
    graph.initializer.extend(ordered)
    graph.input[0].name = float32_model.INPUT_NAME
    graph.output[0].name = output


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
