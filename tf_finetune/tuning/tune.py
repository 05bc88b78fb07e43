"""The Python API of tune, and its command.

Nothing here imports TensorFlow: the trials do, in processes of their own.
"""

import dataclasses
import pathlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tf_finetune import console_output, errors, shutdown
from tf_finetune.config import options, train_config, tune_config
from tf_finetune.data import scan
from tf_finetune.tuning import (
    base_run,
    child_processes,
    engine,
    results,
    study_folder,
    trials,
)
from tf_finetune.tuning import objective as objectives
from tf_finetune.tuning import worker as workers

if TYPE_CHECKING:
    import optuna

Report = Callable[[str], None]

# Options in which the calls of one study may differ.
_CHANGEABLE = {
    "cache_dir",
    "cache_gb",
    *vars(train_config.InterruptionOptions()),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class TunedStudy:
    """The result of a study.

    Attributes:
        winner: Number of the best trial on validation; 0 is the baseline.
        best_flags: Flagfile that trains it again.
        workdir: Folder of its run, for `load_run`, `predict` and `export`.
        content: Content of `study.json`; docs/tuning.md lists its keys.
        folder: Folder of the study.
    """

    winner: int
    best_flags: pathlib.Path
    workdir: pathlib.Path
    content: dict[str, Any]
    folder: pathlib.Path


def tune(
    data: Any, *, report: Report = console_output.show, **keywords: Any
) -> TunedStudy:
    """Searches the settings of a run that are best on validation.

    Args:
        data: A folder, CSV file or name as `--data` takes it; or NumPy arrays
            `(images, labels)`, or a `tf.data.Dataset` of such pairs, with
            images RGB or gray, 0..255.
        report: Called with each block of text that the command would print.
        **keywords: Any flag of `python -m tf_finetune.tune`, by name; `study`
            is needed.

    Returns:
        The best trial, with the figures of all.

    Raises:
        UsageError: An option is unknown or its value impossible, Optuna is not
            installed, or the folder holds a study of other settings.
        DataError: The pictures cannot be used.
        RunError: No trial has finished, or the first ones all fail.

    Example:
        found = tune("flowers/", study="runs/study", backbone="resnet50")
        run = load_run(found.workdir)
    """
    config = options.from_keywords(tune_config.TuneConfig, keywords)
    data = scan.name_data(data, cache_dir=config.run.output.cache_folder)
    return tune_run(options.replace(config, data=data), report=report)


def tune_run(
    config: tune_config.TuneConfig,
    *,
    report: Report,
    start: child_processes.Start = child_processes.start_command,
) -> TunedStudy:
    """Runs `python -m tf_finetune.tune`: works on a study and reports it.

    Args:
        config: All options of the command.
        report: Called with each block of text that a person should read.
        start: Starts a command in a child process.

    Returns:
        The best trial so far, with the figures of all.

    Raises:
        UsageError: An option is impossible, or the folder holds a study of
            other settings.
        DataError: The pictures cannot be used.
        RunError: No trial has finished, or the first ones all fail.
    """
    # First, so that checks and the import of the engine count as well.
    begun = time.monotonic()
    engine.require_engine()
    base = base_run.check_base(config)
    config = base_run.choose_search(config, base)
    folder = study_folder.StudyFolder(pathlib.Path(config.study).expanduser())
    folder.make()
    with shutdown.mark_resumable(lambda: True):
        worker = _open_worker(config, base, folder, start, begun)
        trials.run_trials(worker)
        content = results.write_results(worker)
    report("\n".join(content["summary"]))
    report(
        f"Settings: {folder.best_flags}\nAll trials: {folder.page}\n"
        f"Run of the best one: {folder.workdir(content['winner']).path}"
    )
    return TunedStudy(
        winner=content["winner"],
        best_flags=folder.best_flags,
        workdir=folder.workdir(content["winner"]).path,
        content=content,
        folder=folder.path,
    )


def _open_worker(
    config: tune_config.TuneConfig,
    base: train_config.TrainConfig,
    folder: study_folder.StudyFolder,
    start: child_processes.Start,
    begun: float,
) -> workers.Worker:
    objective = objectives.make_objective(config.metric, base)
    # Two processes may be the first ones of a study.
    with folder.lock():
        study = engine.open_study(
            config,
            folder,
            direction=objective.direction,
            epochs=_count_epochs(config, base),
        )
        _require_same(study, config, base)
        if not study.get_trials(deepcopy=False):
            study.enqueue_trial(trials.find_base_values(base, config))
    deadline = begun + (config.budget_seconds or float("inf"))
    return workers.Worker(
        config=config,
        base=base,
        folder=folder,
        study=study,
        objective=objective,
        start=start,
        deadline=deadline,
    )


def _count_epochs(
    config: tune_config.TuneConfig, base: train_config.TrainConfig
) -> int:
    """Returns the most epochs that a trial may have."""
    searched = [
        each.parse(value)
        for each in config.dimensions
        if each.option == "epochs"
        for value in each.probes
    ]
    return max([base.training.epochs, *searched])


def _require_same(
    study: "optuna.Study",
    config: tune_config.TuneConfig,
    base: train_config.TrainConfig,
) -> None:
    """Records the settings of a new study; compares those of an older one.

    Raises:
        UsageError: They differ.
    """
    now = {
        name: options.to_text(value)
        for name, value in options.collect_values(base).items()
        if name not in _CHANGEABLE
    }
    now["search"] = options.to_text(tuple(e.text for e in config.dimensions))
    now["metric"] = options.to_text(config.metric)
    before = study.user_attrs.get("settings")
    if before is None:
        study.set_user_attr("settings", now)
        return
    changed = [
        f"--{name}={before.get(name, 'none')}, now {text}"
        for name, text in now.items()
        if before.get(name) != text
    ]
    if changed:
        raise errors.UsageError(
            f"--study={config.study} holds trials of other settings "
            f"({'; '.join(changed)}). Repeat its own command to continue it, "
            "or choose another folder."
        )
