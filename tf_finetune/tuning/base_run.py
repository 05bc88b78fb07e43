"""The base run of a study: its checks, and the config of each trial."""

from collections.abc import Mapping, Sequence, Set
from typing import Any

from absl import logging

from tf_finetune import errors
from tf_finetune.config import options, search_space, train_config, tune_config
from tf_finetune.preflight import config_completion, unused_options
from tf_finetune.preflight import train as train_preflight
from tf_finetune.tasks import catalog as tasks

# Options of a single run that a study sets itself, and the reason.
_SET_BY_STUDY = {
    "workdir": "each trial has a folder in --study",
    "overwrite": "a study is continued; remove its folder to start anew",
    "plan": "the plan of a run is that of `train --plan`",
    "fail_below": "trials are compared with each other",
    "fail_if_not_better_than": "trials are compared with the baseline",
    "recipe": "a study tries the settings itself",
    "withhold_test": "trials never see the test pictures",
}
_MAX_COMBINATIONS = 64


def complete_config(
    config: tune_config.TuneConfig, given: Set[str]
) -> tune_config.TuneConfig:
    """Completes a parsed config: resets options that do not apply to a study.

    Options of a flagfile that a study sets itself, or that nothing reads, get
    their defaults and are logged.

    Args:
        config: The config parsed from a command line.
        given: Names of the options that the command line itself sets.

    Raises:
        UsageError: The command line sets one that a study sets itself.
    """
    base, defaults = config.run, options.collect_values(type(config.run)())
    values = options.collect_values(base)
    wanted = {**defaults, "recipe": "none"}
    named = [n for n in _SET_BY_STUDY if values[n] != wanted[n]]
    if refused := [name for name in named if name in given]:
        raise errors.UsageError(
            f"--{refused[0]} is for a single run: {_SET_BY_STUDY[refused[0]]}. "
            "Leave it out."
        )
    if ignored := [name for name in named if values[name] != defaults[name]]:
        logging.info(
            "Ignored options of the flagfile, which are for a single run: %s.",
            ", ".join(options.to_flag(name, values[name]) for name in ignored),
        )
    base = options.replace(base, **{name: wanted[name] for name in named})
    base = config_completion.drop_unused_options(base, given)
    return options.replace(config, **options.collect_values(base))


def check_base(config: tune_config.TuneConfig) -> train_config.TrainConfig:
    """Checks the base run and the metric.

    Args:
        config: All options of the command.

    Returns:
        The config of the base run: absolute paths, the test split withheld.

    Raises:
        UsageError: An option is impossible or is for a single run.
    """
    base = complete_config(config, _list_given(config)).run
    if base.training.strategy == "multi_worker":
        raise errors.UsageError(
            "--strategy=multi_worker is not possible in a study. Start this "
            "command on each machine with one shared --study: each works on "
            "trials of its own."
        )
    if base.model.keep_classifier:
        raise errors.UsageError(
            "--keep_classifier trains nothing that could be tuned; leave it "
            "out."
        )
    train_preflight.check_config(base)
    _check_metric(config.metric, base)
    base = config_completion.make_paths_absolute(base)
    base = config_completion.choose_graph(base)
    return options.replace(base, withhold_test=True)


def choose_search(
    config: tune_config.TuneConfig, base: train_config.TrainConfig
) -> tune_config.TuneConfig:
    """Checks the search space against the base run; fits the default one to it.

    Args:
        config: All options of the command.
        base: The config of the base run.

    Returns:
        The config; of the default space without the options that the base run
        does not read or has in another form, which are logged.

    Raises:
        UsageError: No trial would read a searched option.
    """
    if config.search != search_space.DEFAULT_ENTRIES:
        _refuse_idle_dimensions(config, base)
        return config
    kept = [e for e in config.dimensions if _is_read(e, base)]
    left_out = [e.option for e in config.dimensions if e not in kept]
    if not kept:
        raise errors.UsageError(
            "The base run reads no option of the default search space. Name "
            "what trials are to vary with --search."
        )
    if left_out:
        logging.info(
            "Not searched, because the base run does not read it: --%s.",
            ", --".join(left_out),
        )
    return options.replace(config, search=tuple(each.text for each in kept))


def _is_read(
    dimension: search_space.Dimension, base: train_config.TrainConfig
) -> bool:
    """Returns whether another value of an option would change the base run."""
    usual = options.collect_values(base)[dimension.option]
    values = map(dimension.parse, dimension.probes)
    for value in (each for each in values if each != usual):
        try:
            trial = options.replace(base, **{dimension.option: value})
            train_preflight.check_config(trial)
        except errors.UsageError:
            continue  # Nothing reads it, or it contradicts another flag.
        return True
    return False


def make_config(
    base: train_config.TrainConfig, values: Mapping[str, Any]
) -> train_config.TrainConfig:
    """Makes the config of a trial; options that nothing reads are dropped.

    Args:
        base: The config of the base run.
        values: Values of the searched options, by name.

    Raises:
        UsageError: A value, or their combination, is impossible.
    """
    config = options.replace(base, **values)
    # Whichever flag leaves another one idle, sampled or not, their
    # combination is no mistake here.
    config = config_completion.drop_unused_options(config, set())
    train_preflight.check_config(config)
    return config


def describe_settings(
    config: train_config.TrainConfig,
    dimensions: Sequence[search_space.Dimension],
) -> dict[str, str]:
    """Returns the values of the searched options as flag texts, by name."""
    values = options.collect_values(config)
    return {
        each.option: options.to_text(values[each.option]) for each in dimensions
    }


def _list_given(config: tune_config.TuneConfig) -> set[str]:
    # What is left of them after `complete_config` was given in Python.
    return {*unused_options.list_given(config.run)}


def _check_metric(metric: str | None, base: train_config.TrainConfig) -> None:
    figures = tasks.TASKS.get(base.model.task).figures
    known = (*figures.higher_is_better, *figures.lower_is_better)
    if metric is not None and metric not in known:
        raise errors.make_unknown_error(
            f"--metric of --task={base.model.task}", metric, known
        )


def _refuse_idle_dimensions(
    config: tune_config.TuneConfig, base: train_config.TrainConfig
) -> None:
    """Raises `UsageError` for a searched option that no trial would read."""
    idle = {each.option for each in config.dimensions}
    for values in _list_combinations(config):
        try:
            trial = options.replace(base, **values)
            task = tasks.TASKS.get(trial.model.task)
            choices = unused_options.find_training_choices(
                trial, task, task.head(trial.model.head)
            )
            idle &= {*unused_options.find_unused(trial, choices)}
        except (errors.UsageError, errors.DataError):
            continue  # An impossible combination; the trial is told so.
        if not idle:
            return
    if idle:
        (name, *_) = sorted(idle)
        raise errors.UsageError(
            f"--search varies --{name}, which no trial would read: the base "
            f"run and the search space leave out what it is for. Remove {name} "
            "from --search, or change the flag that leaves it out (`train "
            "--help` says which reads it)."
        )


def _list_combinations(
    config: tune_config.TuneConfig,
) -> list[dict[str, Any]]:
    """Lists combinations of values in which every value occurs."""
    dimensions = config.dimensions
    most = max(len(each.probes) for each in dimensions)
    found = []
    # Shifted against each other, so that not only equal places meet.
    for shift in range(most):
        for place in range(most):
            values = {}
            for index, each in enumerate(dimensions):
                at = (place + shift * index) % len(each.probes)
                values[each.option] = each.parse(each.probes[at])
            found.append(values)
    return found[:_MAX_COMBINATIONS]
