"""Exports of a finished run that takes whole rows."""

import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tf_finetune import errors, files
from tf_finetune.config import use
from tf_finetune.exporting import destination, fused_saved_model, parity
from tf_finetune.runs import fused_rows
from tf_finetune.runs.use import finished, fused_use
from tf_finetune.tasks.regression import table

_TOLERANCE = 1e-4
_POSSIBLE = ("saved_model", "keras")


def export(
    found: finished.Finished,
    config: use.ExportConfig,
    *,
    report: Callable[[str], None],
) -> list[pathlib.Path]:
    """Writes every format that is asked for, proven on rows of the run.

    Args:
        found: The run.
        config: Formats and destination.
        report: Called with where each export lies.

    Raises:
        UsageError: A format cannot hold whole rows.
        RunError: An export gives other numbers than the run gave.
    """
    for name in config.format:
        if name not in _POSSIBLE:
            raise errors.UsageError(
                f"--format={name} takes one picture, and this run takes rows "
                f"of pictures and columns; possible: {', '.join(_POSSIBLE)}."
            )
    kept = files.read_json(found.place.fused_json)
    proof = _proof(kept, config.examples)
    written = []
    for name in config.format:
        write = _saved_model if name == "saved_model" else _keras
        path = write(found, config, kept, proof)
        report(
            f"{name}: {path}, proven on {len(proof.paths)} held-out rows "
            "(parity.json)"
        )
        written.append(path)
    return written


def _saved_model(
    found: finished.Finished,
    config: use.ExportConfig,
    kept: Mapping[str, Any],
    proof: fused_saved_model.Proof,
) -> pathlib.Path:
    return fused_saved_model.write(
        fused_use.load(found),
        _inputs(kept),
        proof,
        names=found.class_names,
        resize=found.config.model.resize,
        destination=pathlib.Path(config.output or found.place.export),
        unit=_unit(kept),
    )


def _keras(
    found: finished.Finished,
    config: use.ExportConfig,
    kept: Mapping[str, Any],
    proof: fused_saved_model.Proof,
) -> pathlib.Path:
    """Copies the run's own file and proves that it is what it was."""
    asked = pathlib.Path(config.output or found.place.export)
    path = destination.file(asked, stem="fused", suffix=".keras")
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(path) as temporary:
        temporary.write_bytes(found.place.fused.read_bytes())
    rows = [
        table.Row(where="", paths=paths, numbers=numbers, words=words)
        for paths, numbers, words in zip(
            proof.paths,
            map(tuple, proof.numbers),
            _model_words(kept, proof),
            strict=True,
        )
    ]
    said = fused_rows.predict(
        fused_use.load(found),
        rows,
        resize=found.config.model.resize,
        batch_size=4,
    )
    compared = parity.require(
        "keras", proof.values, said, allowed=_TOLERANCE, unit=_unit(kept)
    )
    figures = {
        "pictures": sum(map(len, proof.paths)),
        "tolerance": _TOLERANCE,
        "keras": compared,
    }
    parity.record(path, figures)
    return path


def _inputs(kept: Mapping[str, Any]) -> fused_saved_model.Inputs:
    parts = [table.beginning(each) for each in kept["categorical_columns"]]
    words = tuple(dict.fromkeys(name for name, _ in parts))
    return fused_saved_model.Inputs(
        pictures=tuple(kept["image_column"]),
        numbers=tuple(kept["numeric_columns"]),
        words=words,
        beginnings=tuple((words.index(name), length) for name, length in parts),
    )


def _proof(kept: Mapping[str, Any], count: int) -> fused_saved_model.Proof:
    """Returns up to `count` of the rows whose pictures are what they were.

    Raises:
        RunError: There is none.
    """
    rows = [row for row in kept["proof"] if _is_unchanged(row)][:count]
    if not rows:
        raise errors.RunError(
            "None of the held-out rows of the run has its pictures unchanged, "
            "so an export cannot be proven. Bring them back, or train again."
        )
    numbers = [
        [np.nan if each is None else each for each in row["numbers"]]
        for row in rows
    ]
    return fused_saved_model.Proof(
        paths=[tuple(row["paths"]) for row in rows],
        numbers=np.array(numbers, "float32").reshape(len(rows), -1),
        words=[tuple(row["whole_words"]) for row in rows],
        values=np.array([row["values"] for row in rows]),
    )


def _model_words(
    kept: Mapping[str, Any], proof: fused_saved_model.Proof
) -> list[tuple[str, ...]]:
    """Returns words as the model takes them, beginnings cut off."""
    wanted = _inputs(kept).beginnings
    return [
        tuple(row[place][:length] for place, length in wanted)
        for row in proof.words
    ]


def _is_unchanged(row: Mapping[str, Any]) -> bool:
    try:
        return [files.sha256(path) for path in row["paths"]] == row["sha256"]
    except OSError:
        return False


def _unit(kept: Mapping[str, Any]) -> np.ndarray:
    """Returns what differences count beside, [targets]."""
    return parity.units(np.array([row["values"] for row in kept["proof"]]))
