"""Refusal of an export that fails its check, with formats to use instead."""

import contextlib
import importlib.metadata
import json
import pathlib
from collections.abc import Mapping, Sequence, Set
from typing import Any

from tf_finetune import errors, files
from tf_finetune.exports import export_files
from tf_finetune.workdir import json_schema

_FORMAT_ADVANTAGES = {
    "litert_dynamic": "computes in float32 with int8 weights",
    "litert_float16": "keeps 16 bits of each weight",
    "litert": "keeps every number in float32",
    "onnx": "computes in float32",
    "keras": "is the whole model",
    "saved_model": "computes in float32",
    "h5": "holds the weights themselves",
}
"""Advantage of each format, the end of a sentence that begins with its flag."""

# Limit of parity.json in bytes; the entry of an export takes some thousand.
_MAX_BYTES = 16 * 2**20
_PARITY_SCHEMA = json_schema.Table(json_schema.Table(json_schema.Anything()))
_REFUSALS_SCHEMA = json_schema.Record(
    possible={export_files.REFUSED: json_schema.Table(json_schema.Text())}
)


class ExportRefusedError(errors.RunError):
    """Error of an export that fails its check or cannot be converted.

    Attributes:
        fault: The reason, a whole sentence.
        instead: Formats that may pass where this one does not, best first.
        more: Further advice, whole sentences; empty: none.
        largest: The largest difference of a prediction; None: not known.
    """

    def __init__(
        self,
        fault: str,
        *,
        instead: Sequence[str] = (),
        more: str = "",
        largest: float | None = None,
    ) -> None:
        """Composes the message."""
        self.fault, self.instead, self.more = fault, tuple(instead), more
        self.largest = largest
        parts = (fault, more, suggest_formats(self.instead, frozenset()))
        super().__init__(" ".join(filter(None, parts)))

    def without(self, refused: Set[str]) -> "ExportRefusedError":
        """Returns a copy whose advice leaves out the formats in `refused`."""
        left = [name for name in self.instead if name not in refused]
        return ExportRefusedError(
            self.fault, instead=left, more=self.more, largest=self.largest
        )


def suggest_formats(instead: Sequence[str], refused: Set[str]) -> str:
    """Writes a sentence that suggests up to two other formats.

    Args:
        instead: Formats to suggest, best first.
        refused: Formats to leave out, because they were refused for this run.

    Returns:
        The sentence; empty if no format is left.
    """
    left = [name for name in instead if name not in refused][:2]
    if not left:
        return ""
    told = [f"--format={name} {_FORMAT_ADVANTAGES[name]}" for name in left]
    return f"Use another format instead: {', '.join(told)}."


def write_refusal(folder: pathlib.Path, name: str, fault: str) -> None:
    """Records in `parity.json` that a format was refused.

    Args:
        folder: The folder of exports.
        name: The format; an earlier entry of it is replaced.
        fault: The reason, a whole sentence.
    """
    _update_refusals(folder, lambda known: {**known, name: fault})


def remove_refusal(folder: pathlib.Path, name: str) -> None:
    """Removes a format's refusal from `parity.json`, if there is one.

    Args:
        folder: The folder of exports.
        name: The format, which has passed now.
    """
    if name in read_refusals(folder):
        _update_refusals(
            folder, lambda known: {k: v for k, v in known.items() if k != name}
        )


def read_refusals(folder: pathlib.Path) -> Mapping[str, str]:
    """Reads refused formats from `parity.json` of a folder of exports.

    Returns:
        Reason by format; empty if there are none, or the file is missing or
        damaged.
    """
    return read_parity_file(folder).get(export_files.REFUSED, {})


def describe_report_address() -> str:
    """Returns "please report this at ADDRESS, with …", to end a message.

    The address is that of the issue tracker or home page in the installed
    package's metadata; without one it is left out.
    """
    # From the installed package's metadata: the issue tracker if setup.cfg has
    # one, else the home page, else no address.
    address = ""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        told = importlib.metadata.metadata("tf_finetune")
        address = told.get("Home-page") or ""
        for line in told.get_all("Project-URL") or ():
            label, _, url = line.partition(",")
            if label.strip().lower() in ("issues", "bug tracker", "tracker"):
                address = url.strip()
    to = f" at {address}" if address.startswith("http") else ""
    return f"please report this{to}, with the command, run.json and parity.json"


def _update_refusals(folder: pathlib.Path, change: Any) -> None:
    known = read_parity_file(folder)
    refused = change(dict(read_refusals(folder)))
    rest = {k: v for k, v in known.items() if k != export_files.REFUSED}
    if refused:
        rest[export_files.REFUSED] = refused
    files.write_json(folder / export_files.PARITY, rest)


def read_parity_file(folder: pathlib.Path) -> Mapping[str, Any]:
    """Reads `parity.json` of a folder of exports.

    Returns:
        Figures by file name of the export, and the reasons of refusals under
        `REFUSED`; empty if the file is missing or damaged.
    """
    try:
        found = json_schema.read_json(
            folder / export_files.PARITY,
            _PARITY_SCHEMA,
            within=folder,
            limit=_MAX_BYTES,
        )
        json_schema.check_value(
            found, _REFUSALS_SCHEMA, folder / export_files.PARITY
        )
        # The record is written again with new entries, and NaN could not be.
        json.dumps(found, allow_nan=False, ensure_ascii=False).encode(
            errors="surrogateescape"
        )
    except (OSError, ValueError, RecursionError, errors.RunError):
        # A damaged record is replaced: its figures can be measured again.
        return {}
    return found
