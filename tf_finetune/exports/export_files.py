"""Names and contents of an exported model's files; loads no TensorFlow."""

import json
import pathlib
import re
import shutil
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tf_finetune.backbones import catalog
from tf_finetune.config import model_options
from tf_finetune.untrusted import keras_files
from tf_finetune.weights import weights_source

if TYPE_CHECKING:
    import keras

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

# The earliest date that zip can store, and `ZipInfo`'s default.
_FIXED_DATE = "1980-01-01@00:00:00"
# Keras identifies an object that several layers share by its memory address,
# which differs from run to run. Inside of a JSON string the quotes would be
# escaped, so this matches keys only.
_SHARED_OBJECT_ID = re.compile(rb'(?<=[{ ]"shared_object_id": )\d+')
# Unix permissions are in the upper 16 bits of a member's external attributes.
_READABLE_BY_ALL = 0o644 << 16


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


def save_weights(
    model: "keras.Model",
    path: pathlib.Path,
    options: model_options.ModelOptions,
) -> None:
    """Writes weights alone, with all that `--weights` must know of their run.

    Beside the backbone's name this is the scaling of pictures where it may not
    be the backbone's own, as with `--preprocessing`. Keras ignores both.

    Args:
        model: The network of a run, float32.
        path: File to write, ending in `.weights.h5`; overwritten if it exists.
        options: Options of the run.
    """
    model.save_weights(path)
    keras_files.write_backbone(path, options.backbone)
    spec, _ = catalog.find_spec(options.backbone)
    names = weights_source.list_names(spec)
    if options.init_from or options.weights not in names:
        from tf_finetune.weights import preprocessing  # Loads TensorFlow.

        preprocessing.record_scaling(path, model)


def save_keras(
    model: "keras.Model",
    path: pathlib.Path,
    class_names: Sequence[str],
    decision: Mapping[str, Any] | None = None,
) -> None:
    """Writes a model as `model.save` does, and adds its labels and decision.

    A `.keras` file is a zip archive. Keras reads the members that it wrote and
    ignores others.

    `labels.txt` holds the class names, one a line, in the order of the
    outputs. Equal models give equal bytes, which Keras' own files never do:
    dates are fixed, and objects shared between layers are numbered in the order
    of their appearance.

    Args:
        model: Any model that Keras can save.
        path: File to write, ending in `.keras`; overwritten if it exists.
        class_names: In the order of the outputs.
        decision: JSON-able values that the task chose on validation, such as
            thresholds, written as `decision.json`; None or empty: no such
            member.
    """
    with tempfile.TemporaryDirectory() as folder:
        # Not in the folder of `path`, where a killed process would leave it.
        plain = pathlib.Path(folder) / "model.keras"
        model.save(plain)
        with (
            zipfile.ZipFile(plain) as source,
            zipfile.ZipFile(path, "w") as target,
        ):
            for info in source.infolist():
                _copy_member(source, info, target)
            members = encode_members(class_names, decision or {})
            for name, content in members.items():
                target.writestr(_make_member(name), content)


def _copy_member(
    source: zipfile.ZipFile, info: zipfile.ZipInfo, target: zipfile.ZipFile
) -> None:
    rewritten = {
        "config.json": _renumber_shared_objects,
        "metadata.json": _remove_date,
    }
    new = _make_member(info.filename)
    if info.filename in rewritten:
        target.writestr(new, rewritten[info.filename](source.read(info)))
        return
    # zipfile must know a member of more than 2 GiB before it is written.
    new.file_size = info.file_size
    with source.open(info) as reading, target.open(new, "w") as writing:
        shutil.copyfileobj(reading, writing)


def _make_member(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = _READABLE_BY_ALL
    return info


def _renumber_shared_objects(config: bytes) -> bytes:
    numbers: dict[bytes, int] = {}

    def number(found: re.Match) -> bytes:
        return b"%d" % numbers.setdefault(found[0], len(numbers) + 1)

    return _SHARED_OBJECT_ID.sub(number, config)


def _remove_date(metadata: bytes) -> bytes:
    return json.dumps(
        {**json.loads(metadata), "date_saved": _FIXED_DATE}
    ).encode()
