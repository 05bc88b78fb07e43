"""An ONNX file, which ONNX Runtime and many others run."""

import json
import pathlib
import warnings

import keras
import numpy as np
import onnx

from tf_finetune.exporting import job as jobs
from tf_finetune.exporting import parity, precision, single_file

# The same float32 weights; the converter folds batch norm and turns the axes
# of pictures, and another library sums in another order.
TOLERANCE = 1e-4

INPUT, OUTPUT = "images", "probabilities"


def write(job: jobs.ExportJob) -> pathlib.Path:
    """Writes `model.onnx` in float32 and proves it; returns the file.

    Takes `images`, float32 [batch, size, size, 3], RGB 0..255, any batch;
    gives `probabilities`, float32 [batch, classes]. Its metadata properties
    hold `labels`, a JSON array in the order of the classes.

    Raises:
        RunError: It computes something else; nothing is left of it.
        UsageError: The destination cannot be written.
    """

    def save(path: pathlib.Path) -> None:
        _convert(precision.in_float32(job.model), job.image_size, path)
        _finish(path, job.class_names)

    allowed = max(TOLERANCE, parity.tolerance(job.model))
    prove = single_file.prove_exact("onnx.py", job, allowed=allowed)
    return single_file.write(job.file("model", ".onnx"), save, prove)


def _convert(model: keras.Model, size: int, path: pathlib.Path) -> None:
    # Keras exports models that were called before only.
    model(np.zeros([1, size, size, 3], dtype="float32"))
    spec = keras.InputSpec(
        dtype="float32", shape=(None, size, size, 3), name=INPUT
    )
    with warnings.catch_warnings():
        # Keras looks for a name that NumPy is going to bring back.
        warnings.simplefilter("ignore", FutureWarning)
        model.export(
            str(path), format="onnx", input_signature=[spec], verbose=False
        )


def _finish(path: pathlib.Path, class_names: tuple[str, ...]) -> None:
    """Names what is in the file, adds the labels, and checks its form."""
    held = onnx.load(path)
    _rename(held.graph)
    for value in (held.graph.input[0], held.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.helper.set_model_props(
        held,
        {
            # Escaped: a class may be called after a folder of odd bytes.
            "labels": json.dumps(class_names),
            "input": "RGB, 0..255; preprocessing is in the model",
        },
    )
    onnx.checker.check_model(held, full_check=True)
    onnx.save(held, path)


def _rename(graph: onnx.GraphProto) -> None:
    """Numbers everything in the order of its use.

    The converter's names and the order of its constants depend on Python's
    hashes, so that no two files would be equal.
    """
    constants = {each.name: each for each in graph.initializer}
    names = {graph.input[0].name: INPUT, graph.output[0].name: OUTPUT}
    ordered = []
    for place, node in enumerate(graph.node):
        for name in (*node.input, *node.output):
            if name in constants and name not in names:
                names[name] = f"constant_{len(ordered)}"
                ordered.append(constants[name])
            elif name:
                names.setdefault(name, f"value_{len(names)}")
        node.input[:] = [names.get(name, "") for name in node.input]
        node.output[:] = [names.get(name, "") for name in node.output]
        node.name = f"{node.op_type}_{place}"
    for constant in ordered:
        constant.name = names[constant.name]
    del graph.initializer[:], graph.value_info[:]
    graph.initializer.extend(ordered)
    graph.input[0].name, graph.output[0].name = INPUT, OUTPUT
