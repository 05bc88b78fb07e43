"""Names and contents of an exported model's files; needs no TensorFlow."""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

LABELS = "labels.txt"
"""Class names, one a line, in the order of the outputs: in the `assets/` of a
SavedModel, in the archive at the end of a LiteRT file and in a `.keras` one."""

DECISION = "decision.json"
"""Values chosen on validation, thresholds for example, as in evaluation.json:
in the archive at the end of a LiteRT file and in a `.keras` one."""

COLUMNS = "columns.json"
"""In the `assets/` of a SavedModel that takes whole rows: by input the names of
the table's columns in order, and by output the targets."""

WARM_UP_REQUESTS = pathlib.Path("assets.extra") / "tf_serving_warmup_requests"
"""Path of TensorFlow Serving's warm-up requests in a version's folder."""

MODEL_CONFIG = "model.config"
"""Beside the versions: the model's name on a server."""

BATCHING_PARAMETERS = "batching_parameters.txt"
"""Beside the versions: the batch sizes and queue limits of a server."""

TORCH_CONFIG = "config.json"
"""Beside a safetensors file: the network, its classes, its preprocessing."""

PARITY = "parity.json"
"""Beside exports: the figures of each one's parity check."""

REFUSED = "refused"
"""Key in `PARITY`: by format the reason of its refusal, until it passes."""


def encode_labels(names: Sequence[str]) -> bytes:
    """Encodes class names as the bytes of `LABELS`, one a line.

    Args:
        names: In the order of the outputs. Line breaks in them are escaped; a
            name from a folder that is not UTF-8 keeps its original bytes.
    """
    # The full stop makes a break at the end count: "a\n".splitlines() has one
    # line, as "a" has.
    lines = [
        name if len(f"{name}.".splitlines()) == 1 else ascii(name)[1:-1]
        for name in names
    ]
    # File names that are not UTF-8 come from Python as surrogates; this gives
    # their original bytes back.
    text = "".join(f"{line}\n" for line in lines)
    return text.encode("utf-8", errors="surrogateescape")


def encode_members(
    class_names: Sequence[str], decision: Mapping[str, Any]
) -> dict[str, bytes]:
    """Encodes the files to add to a `.keras` or `.tflite` archive.

    Args:
        class_names: In the order of the outputs.
        decision: JSON-able values that the task chose on validation, such as
            thresholds; empty: no `DECISION` is added.

    Returns:
        Contents by file name: `LABELS` and, if there is one, `DECISION`.
    """
    found = {LABELS: encode_labels(class_names)}
    if decision:
        found[DECISION] = json.dumps(dict(decision), indent=2).encode()
    return found
