"""Decides a recipe: rules on the data, then trials as far as time allows."""

import contextlib
import dataclasses
import pathlib
import shutil
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from absl import logging

from tf_finetune import environment
from tf_finetune.config import options, train_config
from tf_finetune.data import scan
from tf_finetune.recipe_search import (
    candidates,
    comparison,
    data_warnings,
    recipe,
    rules,
    trial_notes,
)
from tf_finetune.recipe_search import facts as fact_types
from tf_finetune.runs import time_budget

if TYPE_CHECKING:
    from tf_finetune.recipe_search import trials

ChooseBudget = Callable[[float], float | None]
"""Maps the seconds that features and probe took to the time for trials."""

OpenNetwork = Callable[[tuple[str, ...]], "trials.TrialNetwork"]
"""Maps a value of `--trainable` to the network for its trials."""


def decide_by_data(
    config: train_config.TrainConfig,
    inspected: scan.InspectedPictures,
    device: str,
) -> recipe.Recipe:
    """Chooses the settings that need no trial, without TensorFlow.

    Args:
        config: Options of the run.
        inspected: Pictures whose headers were read.
        device: "cpu", "gpu" or "tpu".

    Returns:
        A recipe whose facts have the chosen values as their settings.
    """
    # Those that do not decode are left out when networks are built.
    data = scan.clean_and_split(inspected, {}, config.data, seed=config.seed)
    facts = fact_types.collect_facts(config, data, device)
    decisions = rules.decide(facts)
    settings = {**facts.settings, **rules.collect_changes(decisions)}
    return recipe.Recipe(
        config=recipe.apply_decisions(config, decisions),
        decisions=decisions,
        facts=dataclasses.replace(facts, settings=settings),
        note=_explain_no_trials(facts),
        fingerprint=data.fingerprint,
        budget_seconds=facts.budget_seconds,
    )


def decide(
    config: train_config.TrainConfig,
    inspected: scan.InspectedPictures,
    folder: pathlib.Path,
    *,
    largest_batch: int | None,
    choose_budget: ChooseBudget,
    budget_flag: str = "--recipe_budget",
    is_settled: bool = False,
) -> recipe.Recipe:
    """Chooses settings by data, starts TensorFlow, and chooses by trials.

    Args:
        config: Options of the run; those that were given are kept.
        inspected: Pictures whose headers were read.
        folder: Folder for results and checkpoints of trials. A trial that is
            recorded there is not repeated; an interrupted one resumes.
        largest_batch: Largest batch size that fits into memory; None without
            `--batch_size=auto`.
        choose_budget: Maps the seconds that features and probe took to those
            for all trials, None: no limit; called once.
        budget_flag: The flag that sets this time, for messages.
        is_settled: Whether a run has begun with the trials that are recorded,
            so that none is added to them.

    Returns:
        The recipe; without trials where `candidates.list_candidates` has none.

    Raises:
        UsageError, DataError, RunError: As of training.
    """
    environment.start_tensorflow()
    first = dataclasses.replace(
        decide_by_data(config, inspected, _find_device()),
        budget_flag=budget_flag,
    )
    if not candidates.list_candidates(first.facts):
        return first
    key = trial_notes.make_key(first.config, first.fingerprint, largest_batch)
    notes = trial_notes.TrialNotes(folder, key)
    with contextlib.ExitStack() as held:
        networks = _Networks(
            first, inspected, notes.folder, held, largest_batch
        )
        return decide_by_trials(
            first,
            notes,
            networks.open,
            choose_budget,
            is_settled=is_settled,
        )


def decide_by_trials(
    first: recipe.Recipe,
    notes: trial_notes.TrialNotes,
    open_network: OpenNetwork,
    choose_budget: ChooseBudget,
    *,
    is_settled: bool = False,
) -> recipe.Recipe:
    """Tries candidates as far as time allows, and decides by the results.

    Args:
        first: The recipe by data alone; its settings are those of all trials.
        notes: Measurements of earlier processes; those of this one are added.
        open_network: Maps a value of `--trainable` to the network that trials
            fine-tune; called only for trials that are not in `notes`.
        choose_budget: As for `decide`.
        is_settled: As for `decide`; ignored where no trial is in `notes`.

    Returns:
        A new recipe, with the trials in its facts.
    """
    facts = _measure_probe(first.facts, notes, open_network)
    limit = choose_budget(notes.probe_seconds)
    left = None if limit is None else max(limit - notes.spent_seconds, 0)
    if is_settled and notes.has_trials:
        left = 0.0
    budget = time_budget.TimeBudget(left, flag=first.budget_flag)
    facts = dataclasses.replace(facts, budget_seconds=limit)
    facts = _try_candidates(facts, notes, open_network, budget)
    decisions = rules.decide(facts)
    return dataclasses.replace(
        first,
        config=recipe.apply_decisions(first.config, decisions),
        decisions=decisions,
        facts=facts,
        warnings=tuple(data_warnings.list_warnings(facts)),
        not_tried=tuple(budget.skipped),
        spent_seconds=notes.spent_seconds,
        budget_seconds=limit,
        trial_workdir=_find_trial_workdir(facts, notes.folder),
    )


class _Networks:
    """Networks of trials, by the layers that they train; one at a time."""

    def __init__(
        self,
        first: recipe.Recipe,
        inspected: scan.InspectedPictures,
        folder: pathlib.Path,
        held: contextlib.ExitStack,
        largest_batch: int | None,
    ) -> None:
        self._first = first
        self._inspected = inspected
        self._folder = folder
        self._held = held
        self._largest_batch = largest_batch
        self._opened: tuple[tuple[str, ...], trials.TrialNetwork] | None = None

    def open(self, trainable: tuple[str, ...]) -> "trials.TrialNetwork":
        """Returns the network that trains these layers, built if needed."""
        from tf_finetune.recipe_search import trials

        if self._opened is None or self._opened[0] != trainable:
            # The one before frees its memory.
            self._opened = None
            network = trials.TrialNetwork(
                options.replace(self._first.config, trainable=trainable),
                self._inspected,
                self._folder,
                self._held,
                largest_batch=self._largest_batch,
                holds_out=self._first.facts.holds_out,
                shares=candidates.list_shares(self._first.facts),
            )
            self._opened = trainable, network
        return self._opened[1]


def _measure_probe(
    facts: fact_types.Facts,
    notes: trial_notes.TrialNotes,
    open_network: OpenNetwork,
) -> fact_types.Facts:
    """Measures features and costs, unless they are noted."""
    if notes.costs is None:
        start = time.monotonic()
        network = open_network(facts.settings["trainable"])
        probe = network.measure_probe()
        seconds = time.monotonic() - start
        notes.note_probe(probe, network.measure_costs(), seconds)
    return dataclasses.replace(facts, probe=notes.probe, costs=notes.costs)


def _try_candidates(
    facts: fact_types.Facts,
    notes: trial_notes.TrialNotes,
    open_network: OpenNetwork,
    budget: time_budget.TimeBudget,
) -> fact_types.Facts:
    """Tries the candidates that fit into the budget, the cheapest first."""
    listed = candidates.list_candidates(facts)
    for number, candidate in enumerate(listed, 1):
        trial = notes.find_trial(candidate)
        if trial is None:
            needed = candidates.estimate_seconds(candidate, facts)
            if not budget.allows(candidate.text, needed):
                continue
            logging.info(
                "Trial %d of %d: %s, about %.0f s.",
                *(number, len(listed), candidate.text, needed),
            )
            start = time.monotonic()
            trial = open_network(candidate.trainable).run(candidate)
            notes.note_trial(trial, time.monotonic() - start)
        logging.info(
            "Trial %d of %d: %s: log loss %.3g, accuracy %.3f.",
            *(number, len(listed), candidate.text),
            *(trial.log_loss, trial.accuracy),
        )
        facts = dataclasses.replace(facts, trials=(*facts.trials, trial))
        _discard_losers(facts, notes.folder)
    return facts


def _discard_losers(facts: fact_types.Facts, folder: pathlib.Path) -> None:
    """Removes the workdirs of trials that the run cannot go on from."""
    best = comparison.find_best(facts)
    for each in facts.trials:
        # Beside another trial the expected one may be preferred again.
        may_win = best in (None, each) or each.candidate.is_expected
        if facts.holds_out or not may_win:
            place = folder / each.candidate.folder_name
            shutil.rmtree(place, ignore_errors=True)


def _find_trial_workdir(
    facts: fact_types.Facts, folder: pathlib.Path
) -> pathlib.Path | None:
    """Returns the workdir of a trial that trained as the run would, if any."""
    best = comparison.find_best(facts)
    # A given --cache=auto lets the run choose its input by timing.
    chooses = "cache" in facts.given and facts.settings["cache"] == "auto"
    if best is None or facts.holds_out or chooses:
        return None
    return folder / best.candidate.folder_name


def _explain_no_trials(facts: fact_types.Facts) -> str:
    """Returns why there are no trials; empty if there are."""
    if not facts.can_compare:
        return (
            "Nothing is tried for this task: only rules on the data apply, and "
            "all other settings keep their defaults."
        )
    if not candidates.list_candidates(facts):
        settings = facts.settings
        layers = rate = ""
        if "trainable" not in facts.given:
            layers = f"cache={settings['cache']}"
        if "learning_rate" not in facts.given:
            # Adapters, and other optimizers than AdamW, have one rate.
            has_adapter = settings["adaptation"] != "freeze"
            name = "adaptation" if has_adapter else "optimizer"
            rate = f"{name}={settings[name]}"
        return (
            f"Nothing is left to try: --{layers or 'trainable'} and "
            f"--{rate or 'learning_rate'} are given, or named by --recipe_skip."
        )
    return ""


def _find_device() -> str:
    import tensorflow as tf

    kinds = {each.device_type for each in tf.config.list_physical_devices()}
    return next((k.lower() for k in ("TPU", "GPU") if k in kinds), "cpu")
