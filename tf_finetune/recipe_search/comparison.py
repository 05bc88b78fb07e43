"""Comparison of trials: which of their settings is preferred."""

import math
from collections.abc import Callable
from typing import Any

from tf_finetune.recipe_search import candidates
from tf_finetune.recipe_search import facts as fact_types

# Standard errors by which a trial must be better than the one of the settings
# that are expected to be the best: about the 5 % level of a paired test.
_ERRORS = 2
# Share of the best trial's gain over the start that it must have, too: where it
# had less (at most 0.16 of it, four splits), its test loss was higher on three.
_LEAST_GAIN = 1 / 3


def find_best(facts: fact_types.Facts) -> candidates.Trial | None:
    """Returns the trial whose settings are preferred.

    That is the one with the lowest log loss, the earliest of equals, unless the
    trial of the settings that were best on other sets (`is_expected`) is within
    two standard errors of it: with a few dozen pictures, one of several others
    is often lower by one by chance. It must have a third of the other's gain,
    too, so that settings that gain nothing on these pictures are not taken.
    Trials whose loss is not finite are left out. None: there is no other, or
    there was one trial alone, which was compared with nothing.
    """
    lowest = _find_lowest(facts)
    if lowest is None:
        return None
    for each in facts.trials:
        # NaN is below nothing.
        difference = each.log_loss - lowest.log_loss
        is_close = difference <= _ERRORS * each.estimate_error(lowest)
        least = _LEAST_GAIN * (lowest.start_log_loss - lowest.log_loss)
        gains = each is lowest or each.start_log_loss - each.log_loss >= least
        if is_close and gains and each.candidate.is_expected:
            return each
    return lowest


def explain_preference(facts: fact_types.Facts) -> str:
    """Returns why `find_best` is not the trial with the lowest log loss.

    Returns:
        A clause with a semicolon before it; empty if it is that trial.
    """
    best, lowest = find_best(facts), _find_lowest(facts)
    if best is lowest:
        return ""
    return (
        f"; {lowest.log_loss:.3f} is lower by less than two standard errors "
        f"({best.estimate_error(lowest):.3f} each), and on other sets these "
        "settings were best"
    )


def find_best_by(
    facts: fact_types.Facts, key: Callable[[candidates.Trial], Any]
) -> tuple[candidates.Trial, ...]:
    """Returns the trial of each key with the lowest log loss.

    The preferred trial is always among them, whatever the others of its key.

    Args:
        facts: Their trials; those whose loss is not finite are left out.
        key: Maps a trial to what divides them.

    Returns:
        Trials in the order of the first ones of their keys.
    """
    found: dict[Any, candidates.Trial] = {}
    best = find_best(facts)
    for each in facts.trials:
        if not math.isfinite(each.log_loss):
            continue
        known = found.get(key(each))
        is_lower = known is None or each.log_loss < known.log_loss
        if each is best or (is_lower and known is not best):
            found[key(each)] = each
    return tuple(found.values())


def describe_network(trial: candidates.Trial) -> str:
    """Formats figures and layers of a trial: "0.35 (0.85) of top"."""
    return (
        f"{trial.log_loss:.3f} ({trial.accuracy:.3f}) of "
        f"{','.join(trial.candidate.trainable)}"
    )


def describe_decay(trial: candidates.Trial) -> str:
    """Describes the learning rates of all layers of a trial in words."""
    if trial.candidate.layer_decay == 1:
        return "one rate for all layers"
    return "rates that fall towards the input"


def list_losses(trials: list[candidates.Trial], best: candidates.Trial) -> str:
    """Lists losses in the order of the rates, the best one in brackets."""
    shown = [f"{each.log_loss:.3f}" for each in trials]
    losses = " ".join(
        f"[{text}]" if each is best else text
        for each, text in zip(trials, shown, strict=True)
    )
    rates = " ".join(f"{each.candidate.learning_rate:g}" for each in trials)
    return f"{losses} at {rates}"


def _find_lowest(facts: fact_types.Facts) -> candidates.Trial | None:
    if len(facts.trials) < 2:
        return None
    finite = [each for each in facts.trials if math.isfinite(each.log_loss)]
    return min(finite, key=lambda each: each.log_loss, default=None)
