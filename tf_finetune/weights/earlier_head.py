"""Linear head of an earlier run, whose columns a new one takes over by class.

Needs no TensorFlow, so that it is checked before it starts.
"""

import pathlib

import numpy as np

from tf_finetune import errors
from tf_finetune.weights import class_plan, weights_file
from tf_finetune.workdir import workdir_files

LAYER = "logits"
"""Name of the layer of a linear head."""


def check_earlier_run(path: pathlib.Path, task: str) -> workdir_files.Workdir:
    """Checks that the head of an earlier run can be taken over by class.

    Args:
        path: Value of `--weights`.
        task: Name of the new run's task, which the earlier run must have had.

    Returns:
        The workdir.

    Raises:
        UsageError: It is no workdir of a finished run of this task with a
            linear head.
    """
    if not (path / "run.flags").is_file():
        raise errors.UsageError(
            f"--classes=keep needs the workdir of an earlier run, and "
            f"--weights={path} is none: only a run has a head and the names "
            "of its classes."
        )
    place = workdir_files.Workdir(path)
    place.require_finished()
    flags = weights_file.read_flags(path)
    usual = {"task": task, "head": "auto", "head_layers": ""}
    found = {name: flags.get(name, value) for name, value in usual.items()}
    # "auto" is the linear head.
    if found["head"] == "linear":
        found["head"] = "auto"
    if found != usual:
        told = " ".join(f"--{name}={value}" for name, value in found.items())
        raise errors.UsageError(
            f"--classes=keep: the run in --weights={path} has {told}. Classes "
            f"are taken over from runs of --task={task} with a linear head "
            "alone."
        )
    return place


def read_head(
    place: workdir_files.Workdir, features: int
) -> tuple[np.ndarray, np.ndarray]:
    """Reads the head of an earlier run.

    Args:
        place: Its workdir, from `check_earlier_run`.
        features: Width of the backbone's pooled features.

    Returns:
        Kernel [features, classes] and bias [classes], float32.

    Raises:
        RunError: Its files do not belong together, or its features have another
            width.
    """
    outputs = len(place.class_names())
    file = weights_file.read_weights(place.path)
    for layer in file.layers:
        shapes = [array.shape for array in layer.arrays]
        if layer.name == LAYER and shapes == [
            (features, outputs),
            (outputs,),
        ]:
            kernel, bias = layer.arrays
            return kernel.astype("float32"), bias.astype("float32")
    raise errors.RunError(
        f"{file.path} has no layer {LAYER!r} from {features} features to "
        f"{outputs} classes. The files of the folder do not belong together: "
        "copy it again, or train again."
    )


def take_columns(
    plan: class_plan.ClassPlan, kernel: np.ndarray, bias: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Takes over the columns of an earlier head by the names of classes.

    Args:
        plan: Origins of the classes.
        kernel: [features, earlier classes].
        bias: [earlier classes].

    Returns:
        Kernel [features, classes] and bias [classes] of the new run, of the
        same dtype. Columns of new classes are 0; those of kept and renamed ones
        are bit-equal; merged ones are means, with ln k added to the bias.
    """
    outputs = plan.outputs
    new_kernel = np.zeros([len(kernel), len(outputs)], kernel.dtype)
    new_bias = np.zeros(len(outputs), bias.dtype)
    for place, row in enumerate(outputs):
        if row.action == "new":
            continue
        columns = [plan.earlier_names.index(each) for each in row.sources]
        # ln Σ exp(z_j) >= ln k + (Σ z_j) / k (Jensen), equal for equal logits;
        # the sum of probabilities itself is no linear function.
        new_kernel[:, place] = kernel[:, columns].mean(axis=1)
        new_bias[place] = bias[columns].mean() + np.log(len(columns))
    return new_kernel, new_bias
