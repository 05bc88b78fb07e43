"""Optuna as the engine of a study: storage, sampler, pruner.

Source: Akiba et al. 2019, "Optuna: A Next-generation Hyperparameter
Optimization Framework".
"""

import importlib.util
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_finetune import errors
from tf_finetune.config import search_space, tune_config
from tf_finetune.tuning import study_folder

if TYPE_CHECKING:
    import optuna

# Trials drawn at random before the model of earlier ones leads the way, and
# trials that end before any is pruned: Optuna's own defaults.
_RANDOM_TRIALS = 10
_UNPRUNED_TRIALS = 5
# The warm-up of the learning rate says nothing about the end.
_UNPRUNED_EPOCHS = 2
_REDUCTION = 3
# Of draws that repeat an earlier trial.
_MAX_DRAWS = 100


def require_engine() -> None:
    """Raises `UsageError` if Optuna is not installed."""
    # Looked for without being imported, which takes time.
    if not importlib.util.find_spec("optuna"):
        raise errors.UsageError(
            "tune needs Optuna, which is not installed: pip install "
            "'tf_finetune[tune]'."
        )


def open_study(
    config: tune_config.TuneConfig,
    folder: study_folder.StudyFolder,
    *,
    direction: str,
    epochs: int,
) -> "optuna.Study":
    """Opens the study of a folder, or creates it.

    Args:
        config: All options of the command.
        folder: The study's folder, which exists.
        direction: "maximize" or "minimize", of the metric.
        epochs: Most epochs that a trial may have, for the pruner.

    Raises:
        RunError: The storage cannot be opened.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = make_sampler(config.dimensions, config.run.seed)
    try:
        return optuna.create_study(
            storage=_open_storage(config, folder),
            study_name=folder.path.resolve().name,
            sampler=sampler,
            pruner=_make_pruner(config.pruner, epochs),
            direction=direction,
            load_if_exists=True,
        )
    # Each database has errors of its own.
    except Exception as error:
        place = config.storage or folder.journal
        raise errors.RunError(
            f"The study in {place} cannot be opened: {error}"
        ) from error


def _open_storage(
    config: tune_config.TuneConfig, folder: study_folder.StudyFolder
) -> "optuna.storages.BaseStorage | str":
    from optuna.storages import journal

    if config.storage is None:
        # Three processes on one new study lost no trial with it; SQLite lost
        # two thirds of them.
        backend = journal.JournalFileBackend(str(folder.journal))
        return journal.JournalStorage(backend)
    if config.storage.startswith("grpc://"):
        from optuna.storages import GrpcStorageProxy

        host, _, port = config.storage.removeprefix("grpc://").partition(":")
        return GrpcStorageProxy(host=host, port=int(port or 13000))
    return config.storage


def make_distributions(
    dimensions: Sequence[search_space.Dimension],
) -> "dict[str, optuna.distributions.BaseDistribution]":
    """Converts a search space into Optuna's distributions, by option."""
    from optuna import distributions

    found = {}
    for each in dimensions:
        if isinstance(each, search_space.Choices):
            found[each.option] = distributions.CategoricalDistribution(
                each.texts
            )
            continue
        kind = (
            distributions.IntDistribution
            if each.is_whole
            else distributions.FloatDistribution
        )
        found[each.option] = kind(each.low, each.high, log=each.is_log)
    return found


def suggest(
    trial: "optuna.Trial",
    distributions: "Mapping[str, optuna.distributions.BaseDistribution]",
) -> dict[str, Any]:
    """Draws a trial's values, or returns those that it has already.

    Args:
        trial: The trial.
        distributions: By option, those of `make_distributions`.

    Returns:
        The drawn value of each option: a number, or the text of a choice.
    """
    from optuna import distributions as kinds

    found: dict[str, Any] = {}
    for name, each in distributions.items():
        if isinstance(each, kinds.CategoricalDistribution):
            found[name] = trial.suggest_categorical(name, each.choices)
        elif isinstance(each, kinds.IntDistribution):
            found[name] = trial.suggest_int(
                name, each.low, each.high, log=each.log
            )
        else:
            found[name] = trial.suggest_float(
                name, each.low, each.high, log=each.log
            )
    return found


def make_sampler(
    dimensions: Sequence[search_space.Dimension], seed: int
) -> "optuna.samplers.BaseSampler":
    """Builds a sampler whose draws are functions of seed and trial number.

    Several processes with one seed then draw different trials, and a process
    that is started again goes on as if it had not been stopped.

    Args:
        dimensions: The search space.
        seed: Seed of all draws.

    Source: Bergstra et al. 2011, "Algorithms for Hyper-Parameter
    Optimization", section 4 (TPE); Falkner et al. 2018, "BOHB", section 3.1
    (its multivariate form).
    """
    import optuna

    space = make_distributions(dimensions)

    class NumberedSampler(optuna.samplers.BaseSampler):
        """Draws trial n with the seed (seed, n); avoids earlier draws."""

        def infer_relative_search_space(
            self, study: optuna.Study, trial: optuna.trial.FrozenTrial
        ) -> dict[str, Any]:
            return space

        def sample_relative(
            self,
            study: optuna.Study,
            trial: optuna.trial.FrozenTrial,
            search_space: dict[str, Any],
        ) -> dict[str, Any]:
            generator = np.random.default_rng([seed, trial.number])
            inner = optuna.samplers.TPESampler(
                multivariate=True,
                n_startup_trials=_RANDOM_TRIALS,
                seed=int(generator.integers(2**31)),
            )
            found = inner.sample_relative(study, trial, search_space)
            known = [each.params for each in study.get_trials(deepcopy=False)]
            return _avoid_repetition(found, known, search_space, generator)

        def sample_independent(
            self,
            study: optuna.Study,
            trial: optuna.trial.FrozenTrial,
            param_name: str,
            param_distribution: Any,
        ) -> Any:
            # By position, so that each option has draws of its own.
            place = [*space].index(param_name)
            generator = np.random.default_rng([seed, trial.number, place])
            return _draw(param_distribution, generator)

    return NumberedSampler()


def _avoid_repetition(
    found: dict[str, Any],
    known: Sequence[dict[str, Any]],
    space: Mapping[str, Any],
    generator: np.random.Generator,
) -> dict[str, Any]:
    """Returns the values `found`, drawn anew where they are empty or known."""
    for _ in range(_MAX_DRAWS):
        if found and found not in known:
            break
        found = {name: _draw(each, generator) for name, each in space.items()}
    return found


def _draw(distribution: Any, generator: np.random.Generator) -> Any:
    """Draws a value evenly; of a logarithmic interval, its logarithm."""
    from optuna import distributions

    if isinstance(distribution, distributions.CategoricalDistribution):
        return distribution.choices[
            generator.integers(len(distribution.choices))
        ]
    low, high = distribution.low, distribution.high
    is_whole = isinstance(distribution, distributions.IntDistribution)
    if distribution.log:
        drawn = math.exp(generator.uniform(math.log(low), math.log(high)))
        drawn = min(max(drawn, low), high)
        return round(drawn) if is_whole else drawn
    if is_whole:
        return int(generator.integers(low, high, endpoint=True))
    return float(generator.uniform(low, high))


def _make_pruner(name: str, epochs: int) -> "optuna.pruners.BasePruner":
    from optuna import pruners

    if name == "none":
        return pruners.NopPruner()
    if name == "hyperband":
        return pruners.HyperbandPruner(
            min_resource=1,
            max_resource=max(epochs, 1),
            reduction_factor=_REDUCTION,
        )
    return pruners.MedianPruner(
        n_startup_trials=_UNPRUNED_TRIALS, n_warmup_steps=_UNPRUNED_EPOCHS
    )
