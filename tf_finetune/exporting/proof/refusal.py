"""An export that is not handed over: why, what to use in place of it."""

import contextlib
import importlib.metadata
import json
import pathlib
from collections.abc import Mapping, Sequence, Set
from typing import Any

from tf_finetune import errors, files, schema
from tf_finetune.exporting import layout

_HELD_BY = {
    "litert_dynamic": "computes in float32 with int8 weights",
    "litert_float16": "keeps 16 bits of each weight",
    "litert": "keeps every number in float32",
    "onnx": "computes in float32",
    "keras": "is the whole model",
    "saved_model": "computes in float32",
    "h5": "holds the weights themselves",
}
"""What speaks for a format, as a sentence that begins with its flag."""

# An artefact takes some thousand.
_LARGEST = 16 * 2**20
_RECORD = schema.Table(schema.Table(schema.Anything()))
_REFUSALS = schema.Record(
    possible={layout.REFUSED: schema.Table(schema.Text())}
)


class Refused(errors.RunError):
    """An export that gives something else than the evaluation gave.

    Attributes:
        fault: What is wrong, a whole sentence.
        instead: Formats that may hold where this one does not, best first.
        more: What else can be done, whole sentences.
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
        """Makes the sentence.

        Args:
            fault: What is wrong, a whole sentence.
            instead: Formats that may hold, best first.
            more: What else can be done, whole sentences.
            largest: The largest difference of a prediction.
        """
        self.fault, self.instead, self.more = fault, tuple(instead), more
        self.largest = largest
        parts = (fault, more, advice(self.instead, frozenset()))
        super().__init__(" ".join(filter(None, parts)))

    def without(self, refused: Set[str]) -> "Refused":
        """Returns the same, whose advice names no format that was refused."""
        left = [name for name in self.instead if name not in refused]
        return Refused(
            self.fault, instead=left, more=self.more, largest=self.largest
        )


def advice(instead: Sequence[str], refused: Set[str]) -> str:
    """Returns a sentence of up to two formats to use; empty: none is left.

    Args:
        instead: Formats, best first.
        refused: Those that were refused for the run.
    """
    left = [name for name in instead if name not in refused][:2]
    if not left:
        return ""
    told = [f"--format={name} {_HELD_BY[name]}" for name in left]
    return f"In place of it, {', '.join(told)}."


def record(folder: pathlib.Path, name: str, fault: str) -> None:
    """Keeps in `parity.json` that a format was refused.

    Args:
        folder: Of exports.
        name: The format's.
        fault: Why.
    """
    _change(folder, lambda known: {**known, name: fault})


def forget(folder: pathlib.Path, name: str) -> None:
    """Takes back that a format was refused, now that it holds."""
    if name in recorded(folder):
        _change(
            folder, lambda known: {k: v for k, v in known.items() if k != name}
        )


def recorded(folder: pathlib.Path) -> Mapping[str, str]:
    """Returns why formats were refused, by their names."""
    return read(folder).get(layout.REFUSED, {})


def where_to_report() -> str:
    """Returns a clause that says where a fault of this package is told."""
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


def _change(folder: pathlib.Path, change: Any) -> None:
    known = read(folder)
    refused = change(dict(recorded(folder)))
    rest = {k: v for k, v in known.items() if k != layout.REFUSED}
    if refused:
        rest[layout.REFUSED] = refused
    files.write_json(folder / layout.PARITY, rest)


def read(folder: pathlib.Path) -> Mapping[str, Any]:
    """Returns what `parity.json` in a folder holds; empty if it is damaged."""
    try:
        found = schema.read(
            folder / layout.PARITY, _RECORD, within=folder, limit=_LARGEST
        )
        schema.check(found, _REFUSALS, folder / layout.PARITY)
        # It is written again with what is new, and NaN would not be.
        json.dumps(found, allow_nan=False, ensure_ascii=False).encode(
            errors="surrogateescape"
        )
    except (OSError, ValueError, RecursionError, errors.RunError):
        # A damaged record is replaced: what it said can be measured again.
        return {}
    return found
