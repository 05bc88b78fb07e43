"""Predictions of a finished run for pictures without labels."""

import pathlib
import tempfile
from collections.abc import Callable, Mapping, Sequence

from tf_finetune.config import use
from tf_finetune.data import examples, unlabelled, verification
from tf_finetune.evaluation import predictions
from tf_finetune.runs import course as courses
from tf_finetune.runs import finished


def predict(
    found: finished.Finished,
    paths: Sequence[str],
    config: use.PredictConfig,
    *,
    report: Callable[[str], None],
) -> list[predictions.Prediction]:
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
    problems |= _undecodable(found, pictures)
    good = [path for path in paths if path not in problems]
    rows = {row.path: row for row in _predicted(found, good, config)}
    table = [rows.get(path) or _failed(path, problems) for path in paths]
    if config.output:
        predictions.write_csv(pathlib.Path(config.output), table)
        report(predictions.summarize(table))
        report(f"Predictions saved to {config.output}")
    else:
        report("\n".join(_line(row) for row in table))
    return table


def _undecodable(
    found: finished.Finished, pictures: Sequence[examples.Picture]
) -> dict[str, str]:
    # Verdicts of pictures that are seen once are not worth keeping.
    with tempfile.TemporaryDirectory() as folder:
        return verification.problems(
            pictures,
            cache_dir=pathlib.Path(folder),
            image_size=found.image_size,
            resize=found.config.model.resize,
        )


def _predicted(
    found: finished.Finished, paths: Sequence[str], config: use.PredictConfig
) -> list[predictions.Prediction]:
    if not paths:
        return []
    probabilities = courses.predict(
        found.model,
        paths,
        image_size=found.image_size,
        resize=found.config.model.resize,
        batch_size=config.batch_size,
    )
    return list(
        predictions.from_probabilities(
            paths, probabilities, found.class_names, top_k=config.top_k
        )
    )


def _failed(path: str, problems: Mapping[str, str]) -> predictions.Prediction:
    return predictions.Prediction(path=path, error=problems[path])


def _line(row: predictions.Prediction) -> str:
    if row.error:
        return f"{row.path}: error: {row.error}"
    return f"{row.path}: {row.class_name} {row.probability:.3f}"
