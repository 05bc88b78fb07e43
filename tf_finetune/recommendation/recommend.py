"""The Python API of recommend, and its command.

Nothing here imports TensorFlow before flags and files are known to be good.
"""

import contextlib
import dataclasses
import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from absl import logging

from tf_finetune import console_output, environment, errors, files
from tf_finetune.config import options, recommend_config
from tf_finetune.data import data_statistics, examples, scan
from tf_finetune.data import splits as data_splits
from tf_finetune.preflight import unused_options
from tf_finetune.recommendation import candidates
from tf_finetune.runs import time_budget
from tf_finetune.tasks import catalog as tasks
from tf_finetune.workdir import folder_names

if TYPE_CHECKING:
    from tf_finetune.recommendation import ranking

Report = Callable[[str], None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recommendation:
    """The recommended backbone and the comparison behind it.

    Attributes:
        pick: Label of the recommended backbone: its name, or NAME=WEIGHTS where
            several candidates have that name.
        backbone: Its name, a value for `fine_tune(backbone=…)`.
        weights: Its weights, a value for `fine_tune(weights=…)`.
        command: The command line that trains it.
        sentence: Comparison of the pick with its best alternative in points of
            accuracy and factors of latency.
        content: Content of `recommend.json`; docs/choosing.md lists its keys.
        folder: Folder that holds `recommend.json` and `pareto.png`.
    """

    pick: str
    backbone: str
    weights: str
    command: str
    sentence: str
    content: dict[str, Any]
    folder: pathlib.Path


def recommend(
    data: Any, *, report: Report = console_output.show, **keywords: Any
) -> Recommendation:
    """Compares pretrained backbones on labeled pictures and picks one.

    Args:
        data: A folder, CSV file or name as `--data` takes it; or NumPy arrays
            `(images, labels)`, or a `tf.data.Dataset` of such pairs, with
            images RGB or gray, 0..255.
        report: Called with each block of text that the command would print.
        **keywords: Any flag of `python -m tf_finetune.recommend`, by name.

    Returns:
        The pick with its command, and the figures of all candidates.

    Raises:
        UsageError: An option is unknown or its value impossible, or no
            candidate has weights at hand, satisfies the limits or fits into
            the time budget.
        DataError: The pictures cannot be used.
        RunError: Weights cannot be downloaded or read.

    Example:
        found = recommend("flowers/", backbones="mobilenet@0.25,resnet50")
        run = fine_tune("flowers/", backbone=found.backbone)
    """
    config = options.from_keywords(recommend_config.RecommendConfig, keywords)
    cache_dir = pathlib.Path(config.cache_dir).expanduser()
    data = scan.name_data(data, cache_dir=cache_dir)
    return recommend_run(options.replace(config, data=data), report=report)


def recommend_run(
    config: recommend_config.RecommendConfig, *, report: Report
) -> Recommendation:
    """Runs `python -m tf_finetune.recommend`: compares, saves and reports.

    Args:
        config: All options of the command; `config.data` names the pictures.
        report: Called with each block of text that a person should read.

    Returns:
        The recommendation, whose folder holds `recommend.json` and
        `pareto.png`.

    Raises:
        UsageError: An option is impossible, or no candidate has weights at
            hand, satisfies the limits or fits into the time budget.
        DataError: The pictures cannot be used.
        RunError: Weights cannot be downloaded or read.
    """
    # First, so that listing pictures and importing TensorFlow count as well.
    budget = time_budget.TimeBudget(config.budget_seconds)
    check_config(config)
    found = candidates.list_candidates(config)
    # Now, rather than when the measurements are made and cannot be saved.
    folder = choose_folder(config)
    if problem := files.find_write_problem(folder, "folder"):
        raise errors.UsageError(
            f"--output={folder} cannot be written: {problem}. Choose another "
            "folder."
        )
    data = _list_pictures(config)
    # With the files that are no pictures, as a training run names them.
    report(data_statistics.format_summary(data))
    if config.download:
        candidates.download_weights(found)
    # Importing TensorFlow takes seconds, which refused commands do not spend.
    environment.start_tensorflow()
    ranked = _compare(config, found, data, folder, budget)
    from tf_finetune.recommendation import network_costs, result_files

    content = result_files.build_json(
        config,
        ranked,
        budget,
        fingerprint=data.fingerprint,
        device=network_costs.describe_device(),
    )
    return _save(content, ranked, folder, report)


def check_config(config: recommend_config.RecommendConfig) -> None:
    """Checks the options of recommend before any picture is read.

    Raises:
        UsageError: `--data` is missing, rows of several inputs are asked for,
            or an option is given that nothing reads.
    """
    if not config.data.data:
        raise errors.UsageError(
            "--data is needed: a folder with one folder per class, a CSV "
            "file, tfds:NAME or digits:FIRST-LAST."
        )
    if config.data.takes_rows:
        raise errors.UsageError(
            "Backbones are compared by one picture a row: give one "
            "--image_column, and neither --numeric_columns nor "
            "--categorical_columns."
        )
    task = tasks.TASKS.get(config.task)
    unused_options.check_options(
        config,
        {
            "task": lambda: unused_options.choose_task(task),
            "data_format": lambda: unused_options.choose_format(
                config.data, task.labels
            ),
        },
    )


def choose_folder(config: recommend_config.RecommendConfig) -> pathlib.Path:
    """Returns the folder for the results, which is not created.

    Returns:
        `--output`, or `runs/recommend-DATA` with DATA the last part of `--data`
        in characters fit for a file name.
    """
    if config.output:
        return pathlib.Path(config.output).expanduser()
    return folder_names.name_folder(config.data.data, before="recommend")


def _list_pictures(
    config: recommend_config.RecommendConfig,
) -> examples.ImageData:
    """Lists the pictures and divides them as training does."""
    inspected = scan.list_and_inspect(
        config.data,
        tasks.TASKS.get(config.task).labels,
        cache_dir=pathlib.Path(config.cache_dir).expanduser(),
    )
    splits = [each.split for each in inspected.pictures]
    data_splits.check_fractions(config.data, splits)
    # Those that do not decode are left out when they are chosen.
    return scan.clean_and_split(inspected, {}, config.data, seed=config.seed)


def _compare(
    config: recommend_config.RecommendConfig,
    found: tuple[candidates.Candidate, ...],
    data: examples.ImageData,
    folder: pathlib.Path,
    budget: time_budget.TimeBudget,
) -> "ranking.Ranking":
    """Ranks the candidates, and fine-tunes the best if the budget allows."""
    # These load TensorFlow.
    from tf_finetune.recommendation import (
        finalists,
        network_measuring,
        ranking,
    )

    pictures = data.split("train")
    logging.info(
        "Comparing %d backbones on up to %d training pictures of %d classes.",
        len(found),
        len(pictures),
        len(data.class_names),
    )
    with contextlib.ExitStack() as held:
        measuring = network_measuring.NetworkMeasuring(
            config, found, data.class_names, held
        )
        ranked = ranking.rank_candidates(
            config, found, pictures, measuring, budget
        )
        # The finalists' runs build their networks anew and need the memory.
        measuring.close_all()
    if not ranked.rows[0].rungs:
        raise errors.UsageError(
            f"--time_budget={config.time_budget} is too short to compare any "
            "candidate. Give more time."
        )
    runs = finalists.FinalistRuns(
        config=config,
        num_pictures=len(data.pictures),
        fingerprint=data.fingerprint,
        folder=folder,
    )
    return finalists.fine_tune_finalists(ranked, runs, measuring, budget)


def _save(
    content: dict[str, Any],
    ranked: "ranking.Ranking",
    folder: pathlib.Path,
    report: Report,
) -> Recommendation:
    """Writes and reports the result."""
    from tf_finetune.recommendation import result_text

    sentence = result_text.format_sentence(ranked.rows)
    path, chart = folder / "recommend.json", folder / "pareto.png"
    if not chart.exists() or _read(path) != content:
        # Loading the plotting library takes longer than all the rest of a
        # repeated command.
        from tf_finetune.recommendation import pareto_plot

        pareto_plot.plot_pareto(ranked.rows, chart)
        files.write_json(path, content)
    report(
        f"{result_text.format_table(ranked.rows)}\n"
        "* on the Pareto front of the probe's accuracy and latency\n"
    )
    report(f"{sentence}\nTrain it with:\n  {content['command']}")
    report(f"Results saved to {folder}")
    best = ranked.rows[0].candidate
    return Recommendation(
        pick=best.label,
        backbone=best.backbone,
        weights=best.weights,
        command=content["command"],
        sentence=sentence,
        content=content,
        folder=folder,
    )


def _read(path: pathlib.Path) -> Any:
    try:
        return files.read_json(path)
    except (OSError, ValueError):
        return None
