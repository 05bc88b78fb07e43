"""Rules of a recipe: one pure function of the facts for each option.

`RULES` lists them in the order in which they decide. A new rule is a function
and a line there. docs/recipe.md has the measurements that they stand on.
"""

import math
from collections.abc import Mapping
from typing import Any

from tf_finetune.config import options, training_options
from tf_finetune.recipe_search import comparison, decisions
from tf_finetune.recipe_search import facts as fact_types

# BiT-HyperRule's sizes of data (Kolesnikov et al. 2020, section 3.3).
_MEDIUM, _LARGE = 20_000, 500_000
_MEDIUM_STEPS, _LARGE_STEPS = 10_000, 20_000


def choose_augmentation(facts: fact_types.Facts) -> decisions.Choice | None:
    """Chooses "strong" augmentation from 20,000 training pictures on.

    None with fewer, with `--cache=on`, and for tasks without a log loss.
    """
    # Mixed pictures cannot be cached, and their labels are shares of classes.
    is_possible = facts.can_compare and facts.settings["cache"] != "on"
    if facts.training_pictures < _MEDIUM or not is_possible:
        return None
    return decisions.Choice(
        value="strong",
        because=f"{facts.training_pictures:,} training pictures are enough "
        "for MixUp",
    )


def choose_epochs(facts: fact_types.Facts) -> decisions.Choice | None:
    """Chooses epochs of 10,000 steps in all from 20,000 pictures on.

    From 500,000 training pictures on they have 20,000 steps; None below 20,000.
    """
    if facts.training_pictures < _MEDIUM:
        return None
    is_large = facts.training_pictures >= _LARGE
    steps = _LARGE_STEPS if is_large else _MEDIUM_STEPS
    per_epoch = math.ceil(facts.training_pictures / _batch_size(facts))
    epochs = max(round(steps / per_epoch), 1)
    return decisions.Choice(
        value=epochs,
        because=f"about {steps:,} steps for {facts.training_pictures:,} "
        "training pictures",
    )


def choose_keep_epoch(facts: fact_types.Facts) -> decisions.Choice | None:
    """Chooses the last epoch where validation is too small to choose one."""
    settings = facts.settings
    # The rate has fallen to 0 there; a --patience that is given is obeyed.
    is_usual = settings["schedule"] == "cosine" and not _has_patience(facts)
    if not (facts.can_compare and facts.holds_out and is_usual):
        return None
    return decisions.Choice(
        value="last",
        because=f"{facts.validation_pictures} validation pictures are too few "
        "to choose an epoch by",
    )


def choose_trainable(facts: fact_types.Facts) -> decisions.Choice | None:
    """Chooses the layers of the trial that is preferred.

    None if trials of other layers are lacking.
    """
    best = comparison.find_best(facts)
    tried = {each.candidate.trainable for each in facts.trials}
    if best is None or len(tried) < 2:
        return None
    compared = comparison.find_best_by(
        facts, lambda each: each.candidate.trainable
    )
    others = [
        comparison.describe_network(each)
        for each in compared
        if each is not best
    ]
    return decisions.Choice(
        value=best.candidate.trainable,
        because=f"validation log loss {best.log_loss:.3f} (accuracy "
        f"{best.accuracy:.3f}) against "
        + (", ".join(others) or "the others, which diverged")
        + comparison.explain_preference(facts),
        compared=compared,
    )


def choose_layer_decay(facts: fact_types.Facts) -> decisions.Choice | None:
    """Chooses the layer decay of the trial that is preferred.

    None if its layers were not tried with another one.
    """
    best = comparison.find_best(facts)
    if best is None:
        return None
    same = [
        each
        for each in facts.trials
        if each.candidate.trainable == best.candidate.trainable
    ]
    if len({each.candidate.layer_decay for each in same}) < 2:
        return None
    other = min(
        (
            each
            for each in same
            if each.candidate.layer_decay != best.candidate.layer_decay
        ),
        key=lambda each: each.log_loss,
    )
    return decisions.Choice(
        value=best.candidate.layer_decay,
        because=f"{comparison.describe_decay(best)}, validation log loss "
        f"{best.log_loss:.3f} against {other.log_loss:.3f} of "
        f"{comparison.describe_decay(other)}{comparison.explain_preference(facts)}",
        compared=tuple(same),
    )


def choose_learning_rate(facts: fact_types.Facts) -> decisions.Choice | None:
    """Chooses the learning rate of the trial that is preferred, if any."""
    best = comparison.find_best(facts)
    if best is None or best.candidate.learning_rate is None:
        return None
    same = sorted(
        (
            each
            for each in facts.trials
            if each.candidate.trainable == best.candidate.trainable
            and each.candidate.layer_decay == best.candidate.layer_decay
        ),
        key=lambda each: each.candidate.learning_rate,
    )
    if len(same) == 1:
        return decisions.Choice(
            value=best.candidate.learning_rate,
            because="the rate at which these layers were tried",
            compared=tuple(same),
        )
    return decisions.Choice(
        value=best.candidate.learning_rate,
        because=f"best of {_COUNTS.get(len(same), len(same))} runs on "
        f"{'cached features' if best.cache == 'on' else 'pictures'}, "
        f"validation log loss {comparison.list_losses(same, best)}"
        f"{comparison.explain_preference(facts)}",
        compared=tuple(same),
    )


def choose_interpolate(facts: fact_types.Facts) -> decisions.Choice | None:
    """Chooses the share at which the preferred trial had its lowest loss."""
    best = comparison.find_best(facts)
    if best is None or best.interpolate == 1:
        return None
    return decisions.Choice(
        value=best.interpolate,
        because="between the start and the end of fine-tuning validation log "
        f"loss is {best.log_loss:.3f}, at its end {best.uninterpolated:.3f}",
    )


def choose_cache(facts: fact_types.Facts) -> decisions.Choice | None:
    """Chooses `--cache` as the best trial had it: "on" or "off".

    A run with the recipe's flags then trains on the same input, cached
    activations or decoded pictures, and ends with the same weights, bit by bit.

    Args:
        facts: Facts of the data, with the trials.

    Returns:
        The value with its reason; None if no trial was made.
    """
    best = comparison.find_best(facts)
    if best is None:
        return None
    return decisions.Choice(
        value=best.cache,
        because="as in the trial that was best, so that a replay is the same",
    )


RULES = (
    decisions.Rule(
        flag="augmentation",
        choose=choose_augmentation,
        source="BiT-HyperRule (Kolesnikov et al. 2020, section 3.3): MixUp from"
        " 20,000 pictures; strength not measured",
    ),
    decisions.Rule(
        flag="epochs",
        choose=choose_epochs,
        source="BiT-HyperRule (Kolesnikov et al. 2020, section 3.3)",
    ),
    decisions.Rule(
        flag="keep_epoch",
        choose=choose_keep_epoch,
        source="docs/recipe.md, Which epoch, and how much of it",
    ),
    decisions.Rule(
        flag="trainable",
        choose=choose_trainable,
        source="measured in this run; docs/recipe.md, All layers",
    ),
    decisions.Rule(
        flag="layer_decay",
        choose=choose_layer_decay,
        source="measured in this run; docs/recipe.md, All layers",
    ),
    decisions.Rule(
        flag="learning_rate",
        choose=choose_learning_rate,
        source="measured in this run; docs/recipe.md, Learning rate",
    ),
    decisions.Rule(
        flag="interpolate",
        choose=choose_interpolate,
        source="measured in this run; WiSE-FT (Wortsman et al. 2022)",
    ),
    decisions.Rule(
        flag="cache",
        choose=choose_cache,
        source="measured in this run; docs/recipe.md, Replay",
    ),
)
"""All rules of a recipe, in the order in which they decide."""

_COUNTS = {2: "two", 3: "three", 4: "four"}


def decide(facts: fact_types.Facts) -> tuple[decisions.Decision, ...]:
    """Applies all rules to the facts.

    Args:
        facts: With trials, if some were made.

    Returns:
        Decisions in the order of `RULES`: the user's own values as they are,
        and the values that rules chose; options whose default stays are not
        there.
    """
    found = []
    for rule in RULES:
        if rule.flag in facts.given:
            found.append(
                decisions.Decision(
                    flag=rule.flag,
                    value=facts.settings[rule.flag],
                    rule="given",
                    because="given, or named by --recipe_skip",
                    source="the user",
                    given=True,
                )
            )
            continue
        choice = rule.choose(facts)
        if choice:
            found.append(
                decisions.Decision(
                    flag=rule.flag,
                    value=choice.value,
                    rule=rule.choose.__name__,
                    because=choice.because,
                    source=rule.source,
                    compared=choice.compared,
                )
            )
    return tuple(found)


def collect_changes(
    chosen: tuple[decisions.Decision, ...],
) -> Mapping[str, Any]:
    """Returns the chosen values by option, without those that were given."""
    return {each.flag: each.value for each in chosen if not each.given}


def _has_patience(facts: fact_types.Facts) -> bool:
    usual = options.find_field(training_options.TrainingOptions, "patience")
    return facts.settings["patience"] != usual.default


def _batch_size(facts: fact_types.Facts) -> int:
    # "auto" is found later; the rules count with the reference size.
    size = facts.settings["batch_size"]
    return 32 if size == "auto" else size
