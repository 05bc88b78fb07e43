"""Predictions of a finished run for pictures without labels."""

import pathlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tf_finetune.config import use
from tf_finetune.data import examples, unlabelled, verification
from tf_finetune.runs import finished


def predict(
    found: finished.Finished,
    paths: Sequence[str],
    config: use.PredictConfig,
    *,
    report: Callable[[str], None],
) -> list[Any]:
    """Predicts every usable picture; the others get their `error` filled.

    Args:
        found: The run to predict with.
        paths: The files.
        config: Output, number of classes listed, batch size.
        report: Called with what a person should read.

    Returns:
        One prediction a path, in their order.
    """
    pictures, problems = unlabelled.inspect(
        list(paths), max_pixels=config.max_pixels
    )
    problems |= undecodable(found, pictures)
    good = [path for path in paths if path not in problems]
    answers = found.task.answers
    rows = {row.path: row for row in _predicted(found, good, config)}
    table = [
        rows.get(path) or answers.failed(path, problems[path]) for path in paths
    ]
    if config.output:
        answers.write(pathlib.Path(config.output), table)
        report(answers.summarize(table))
        report(f"Predictions saved to {config.output}")
    else:
        report("\n".join(answers.line(row) for row in table))
    return table


def undecodable(
    found: finished.Finished, pictures: Sequence[examples.Picture]
) -> dict[str, str]:
    """Returns what is wrong with pictures that have a good header, by path."""
    # Verdicts of pictures that are seen once are not worth keeping.
    with tempfile.TemporaryDirectory() as folder:
        return verification.problems(
            pictures,
            cache_dir=pathlib.Path(folder),
            image_size=found.image_size,
            resize=found.config.model.resize,
        )


def _predicted(
    found: finished.Finished,
    paths: Sequence[str],
    config: use.PredictConfig,
) -> Iterator[Any]:
    if not paths:
        return
    start = 0
    for batch in found.predict(paths, batch_size=config.batch_size):
        named = paths[start : start + len(batch)]
        start += len(batch)
        yield from found.task.answers.of(
            named, batch, found.class_names, top_k=config.top_k
        )
