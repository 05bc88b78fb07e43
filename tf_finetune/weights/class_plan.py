"""Classes of an earlier run in a new one: kept, renamed, merged, dropped, new.

Needs no TensorFlow, so that a plan is checked before it starts.
"""

import dataclasses
import pathlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from tf_finetune import errors
from tf_finetune.data import class_names
from tf_finetune.weights import weights_file
from tf_finetune.workdir import workdir_files

Action = Literal["kept", "renamed", "merged", "new", "dropped"]

# Rows of the table in a plan; the rest is counted.
_MAX_ROWS = 40
_HEAD_LAYER = "logits"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassRow:
    """Origin of one class.

    Attributes:
        name: Name in the new run; "" for a dropped class.
        sources: Names in the earlier run; () for a new class.
        action: "kept", "renamed", "merged" (of several classes), "new" (from no
            earlier class) or "dropped".
    """

    name: str
    sources: tuple[str, ...]
    action: Action


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassPlan:
    """Origins of all classes of a run.

    Attributes:
        rows: The classes of the new run in their order, then those dropped.
        earlier_names: Classes of the earlier run, in the order of its outputs.
    """

    rows: tuple[ClassRow, ...]
    earlier_names: tuple[str, ...]

    @property
    def outputs(self) -> tuple[ClassRow, ...]:
        """The rows of the new run's classes, in the order of its outputs."""
        return tuple(row for row in self.rows if row.action != "dropped")

    @property
    def new_places(self) -> list[int]:
        """Indices of the new run's outputs that come from no earlier class."""
        return [
            place
            for place, row in enumerate(self.outputs)
            if row.action == "new"
        ]

    def summarize(self) -> str:
        """Counts the classes by action: "2 kept, 1 new"."""
        counts = Counter(row.action for row in self.rows)
        return ", ".join(f"{count} {each}" for each, count in counts.items())

    def format_table(self) -> str:
        """Formats a table: class, class of the earlier run, action."""
        lines = [("class", "from", "action")]
        for row in self.rows[:_MAX_ROWS]:
            action = "new, solved" if row.action == "new" else row.action
            source = " + ".join(row.sources) or "-"
            lines.append((row.name or "-", source, action))
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        text = [
            "  ".join(
                cell.ljust(width)
                for cell, width in zip(line, widths, strict=True)
            ).rstrip()
            for line in lines
        ]
        left = len(self.rows) - _MAX_ROWS
        return "\n".join([*text, f"… and {left} more"] if left > 0 else text)


def parse_class_map(specs: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Parses `--class_map` to classes of the earlier run by new name.

    Args:
        specs: Each "NEW:OLD" or "NEW:OLD+OLD".

    Raises:
        UsageError: One has another form, or a name occurs twice on a side.
    """
    found: dict[str, tuple[str, ...]] = {}
    used: list[str] = []
    for spec in specs:
        new, colon, text = spec.partition(":")
        old = tuple(each.strip() for each in text.split("+"))
        if not (colon and new.strip() and all(old)):
            raise errors.UsageError(
                f"--class_map={spec} must be NEW:OLD (a renamed class) or "
                "NEW:OLD+OLD (merged ones)."
            )
        if new.strip() in found or len({*used, *old}) < len(used) + len(old):
            raise errors.UsageError(
                f"--class_map={','.join(specs)} names a class twice on one "
                "side; each class has one origin, and goes into one class."
            )
        found[new.strip()] = old
        used += old
    return found


def plan_classes(
    names: Sequence[str],
    earlier_names: Sequence[str],
    mapping: Mapping[str, tuple[str, ...]],
) -> ClassPlan:
    """Plans the origin of every class by its name.

    Args:
        names: Classes of the new run, in the order of its outputs.
        earlier_names: Classes of the earlier run.
        mapping: From `parse_class_map`.

    Raises:
        UsageError: `mapping` names classes that do not exist, or no class of
            the new run comes from the earlier one.
    """
    moved = [each for old in mapping.values() for each in old]
    _check_names("the pictures", [*mapping], names)
    _check_names("the earlier run", moved, earlier_names)
    rows = []
    for name in names:
        if name in mapping:
            old = mapping[name]
            action = "merged" if len(old) > 1 else "renamed"
            rows.append(ClassRow(name=name, sources=old, action=action))
        elif name in earlier_names and name not in moved:
            rows.append(ClassRow(name=name, sources=(name,), action="kept"))
        else:
            rows.append(ClassRow(name=name, sources=(), action="new"))
    if all(row.action == "new" for row in rows):
        raise errors.UsageError(
            "--classes=keep: none of the classes of the pictures "
            f"({class_names.join_names(names)}) is one of the earlier run "
            f"({class_names.join_names(earlier_names)}). Name renamed ones "
            "with --class_map=NEW:OLD, or leave --classes=keep out."
        )
    taken = {each for row in rows for each in row.sources}
    rows += [
        ClassRow(name="", sources=(each,), action="dropped")
        for each in earlier_names
        if each not in taken
    ]
    return ClassPlan(rows=tuple(rows), earlier_names=tuple(earlier_names))


def _check_names(
    owner: str, wanted: Sequence[str], known: Sequence[str]
) -> None:
    unknown = [each for each in wanted if each not in known]
    if unknown:
        raise errors.UsageError(
            f"--class_map names {class_names.join_names(unknown)}, no class of "
            f"{owner}, which has: {class_names.join_names(known)}."
        )


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
        if layer.name == _HEAD_LAYER and shapes == [
            (features, outputs),
            (outputs,),
        ]:
            kernel, bias = layer.arrays
            return kernel.astype("float32"), bias.astype("float32")
    raise errors.RunError(
        f"{file.path} has no layer {_HEAD_LAYER!r} from {features} features to "
        f"{outputs} classes. The files of the folder do not belong together: "
        "copy it again, or train again."
    )


def take_columns(
    plan: ClassPlan, kernel: np.ndarray, bias: np.ndarray
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
