"""What the files of an exported model are called; needs no TensorFlow."""

import pathlib

LABELS = "labels.txt"
"""Class names, one a line, in the order of the outputs: in the `assets/` of a
SavedModel, in the archive at the end of a LiteRT file and in a `.keras` one."""

DECISION = "decision.json"
"""In a `.keras` archive: what the task decided on validation, if anything."""

DECISION = "decision.json"
"""What the task decided on validation, thresholds for example, as in
evaluation.json: in the archive at the end of a LiteRT file."""

WARM_UP = pathlib.Path("assets.extra") / "tf_serving_warmup_requests"
"""Where in a version's folder TensorFlow Serving looks for requests."""

MODEL_CONFIG = "model.config"
"""Beside the versions: what a server calls the model."""

BATCHING = "batching_parameters.txt"
"""Beside the versions: how large batches a server makes."""

PARITY = "parity.json"
"""Beside exports: what was proven of each."""
