"""What the files of an exported model are called and hold; no TensorFlow."""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

LABELS = "labels.txt"
"""Class names, one a line, in the order of the outputs: in the `assets/` of a
SavedModel, in the archive at the end of a LiteRT file and in a `.keras` one."""

DECISION = "decision.json"
"""What the task decided on validation, thresholds for example, as in
evaluation.json: in the archive at the end of a LiteRT file and in a `.keras`
one."""

COLUMNS = "columns.json"
"""In the `assets/` of a SavedModel that takes whole rows: by input the columns
of a table that its places are, and by output the targets."""

WARM_UP = pathlib.Path("assets.extra") / "tf_serving_warmup_requests"
"""Where in a version's folder TensorFlow Serving looks for requests."""

MODEL_CONFIG = "model.config"
"""Beside the versions: what a server calls the model."""

BATCHING = "batching_parameters.txt"
"""Beside the versions: how large batches a server makes."""

PARITY = "parity.json"
"""Beside exports: what was proven of each."""

REFUSED = "refused"
"""In `PARITY`: by format why it was refused, while nothing of it is there."""


def labels(names: Sequence[str]) -> bytes:
    """Returns what `LABELS` holds: a name a line, line breaks escaped.

    Args:
        names: Of the outputs; folders may give them bytes that are no UTF-8.
    """
    lines = [
        name if len(f"{name}.".splitlines()) == 1 else ascii(name)[1:-1]
        for name in names
    ]
    text = "".join(f"{line}\n" for line in lines)
    return text.encode("utf-8", errors="surrogateescape")


def decision(decided: Mapping[str, Any]) -> bytes:
    """Returns what `DECISION` holds, JSON."""
    return json.dumps(dict(decided), indent=2).encode()
