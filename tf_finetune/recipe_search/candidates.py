"""Candidates of a recipe: settings that are tried, the cheapest first.

The range test of learning rates (fastai's lr_find) is not used: a solved head
is a minimum of the training loss, from which every rate leads upwards, so that
its suggestions are one to four orders of magnitude too low (docs/recipe.md).
"""

import dataclasses
import hashlib
import math
import statistics
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tf_finetune.recipe_search import facts as fact_types

RATES = (1e-4, 3e-4, 1e-3, 3e-3)
"""Peak learning rates of AdamW that are tried where only the top moves."""

ALL_LAYERS_RATE = 1e-3
"""Peak learning rate of AdamW at which all layers are tried."""

SHARES = (1.0, 0.75, 0.5)
"""Values of `--interpolate` at which every trial is judged."""

MOST_BLOCKS = 100
"""Most blocks of pictures whose mean losses a trial notes."""

FEWEST_VALIDATION = 100
"""Validation pictures below which they choose no epoch, and trials hold out
training pictures too."""

FEWEST_FOR_ONE_RATE = 500
"""Training pictures from which one rate for all layers is tried."""

_TOP, _ALL = ("top",), ("all",)
# The rates above are those of this optimizer, for the network's own weights.
_OPTIMIZER = "adamw"
# Allowance for building and compiling a network and tracing its training step,
# seconds; a trial of the same layers that was made replaces the estimate.
_START_SECONDS = {_TOP: 3.0}
_START_SECONDS_ALL = 15.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidate:
    """Settings of one trial.

    Attributes:
        trainable: Value of `--trainable`.
        layer_decay: Value of `--layer_decay`.
        learning_rate: Value of `--learning_rate`; None: the optimizer's
            default.
    """

    trainable: tuple[str, ...]
    layer_decay: float | str
    learning_rate: float | None

    @property
    def is_expected(self) -> bool:
        """Whether these settings were best over the sets that were measured.

        All layers at rates that fall towards the input: docs/recipe.md, All
        layers.
        """
        is_usual = self.learning_rate == ALL_LAYERS_RATE
        return is_usual and self.trainable == _ALL and self.layer_decay != 1

    @property
    def text(self) -> str:
        """The settings in words, also the key of the trial in `TrialNotes`."""
        rate = "the default rate"
        if self.learning_rate is not None:
            rate = f"learning rate {self.learning_rate:g}"
        decay = ""
        if self.layer_decay == 1 and self.trainable == _ALL:
            decay = ", one rate for all layers"
        return f"trainable {','.join(self.trainable)}, {rate}{decay}"

    @property
    def folder_name(self) -> str:
        """Name of the folder of its trial, within that of all trials."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trial:
    """Result of a candidate's run.

    Attributes:
        candidate: Its settings.
        log_loss: Mean cross-entropy on the pictures that trials are judged on,
            nats; of the weights at `interpolate`. NaN: it diverged.
        accuracy: Accuracy on the same pictures, 0..1.
        start_log_loss: Log loss of the weights that it started from, nats.
        interpolate: The value of `--interpolate` with the lowest log loss.
        uninterpolated: Log loss of the weights that it ended with, nats.
        block_losses: Mean losses of up to `MOST_BLOCKS` blocks of the same
            pictures, in their order, nats; empty where it diverged.
        seconds: Wall time of the run, beside features and activations that
            several trials share.
        cache: "on" if it read cached activations, "off" if it read pictures.
    """

    candidate: Candidate
    log_loss: float
    accuracy: float
    start_log_loss: float
    interpolate: float
    uninterpolated: float
    block_losses: tuple[float, ...]
    seconds: float
    cache: str

    def estimate_error(self, other: "Trial") -> float:
        """Estimates the standard error of the difference to another trial.

        Args:
            other: A trial judged on the same pictures.

        Returns:
            Standard error of the paired difference of log losses, nats; 0
            where there are fewer than two blocks.
        """
        count = min(len(self.block_losses), len(other.block_losses))
        if count < 2:
            return 0.0
        pairs = zip(self.block_losses, other.block_losses, strict=True)
        spread = statistics.stdev(mine - others for mine, others in pairs)
        return spread / math.sqrt(count)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Costs:
    """Measured seconds per picture of the network, from a batch.

    Attributes:
        load: Seconds to decode, resize and augment a picture.
        forward: Seconds of the whole network's forward pass.
        frozen_share: Share of the forward pass below the freeze boundary of the
            first network that is tried, 0..1; 0: it has none.
        missing_views: Number of augmented views that are not cached yet.
    """

    load: float
    forward: float
    frozen_share: float
    missing_views: int


def list_candidates(facts: "fact_types.Facts") -> tuple[Candidate, ...]:
    """Lists the settings that are worth a trial, in order of their cost.

    Args:
        facts: Options that are given are the same in every candidate.

    Returns:
        Candidates; empty where the task is not compared by log loss or where
        fewer than two remain, so that nothing is left to choose.
    """
    if not facts.can_compare:
        return ()
    networks = [(facts.settings["trainable"], facts.settings["layer_decay"])]
    # Cached activations were asked for, and nothing below all layers is frozen.
    if "trainable" not in facts.given and facts.settings["cache"] != "on":
        networks += _list_all_layers(facts)
    found = [
        Candidate(trainable=trained, layer_decay=decay, learning_rate=rate)
        for place, (trained, decay) in enumerate(networks)
        for rate in _list_rates(facts, is_first=place == 0)
    ]
    return tuple(found) if len(found) > 1 else ()


def _list_all_layers(
    facts: "fact_types.Facts",
) -> list[tuple[tuple[str, ...], Any]]:
    found = [(_ALL, facts.settings["layer_decay"])]
    is_large = facts.training_pictures >= FEWEST_FOR_ONE_RATE
    # Adapters have one rate for all layers.
    has_decay = facts.settings["adaptation"] == "freeze"
    if is_large and has_decay and "layer_decay" not in facts.given:
        found.append((_ALL, 1.0))
    return found


def _list_rates(
    facts: "fact_types.Facts", *, is_first: bool
) -> list[float | None]:
    is_usual = facts.settings["optimizer"].lower() == _OPTIMIZER
    # Adapters have rates of their own, which are the optimizer's default there.
    is_usual &= facts.settings["adaptation"] == "freeze"
    if "learning_rate" in facts.given or not is_usual:
        return [facts.settings["learning_rate"]]
    if not is_first:
        return [ALL_LAYERS_RATE]
    # The usual one first: with little time it is the one that is measured.
    return sorted(RATES, key=lambda rate: (rate != ALL_LAYERS_RATE, -rate))


def list_shares(facts: "fact_types.Facts") -> tuple[float, ...]:
    """Lists the values of `--interpolate` at which trials are judged.

    Args:
        facts: The value that is given is the only one; so is the default where
            the option has no meaning.
    """
    settings = facts.settings
    starts_solved = settings["head_init"] == "probe"
    is_possible = starts_solved and settings["adaptation"] == "freeze"
    if "interpolate" in facts.given or not is_possible:
        return (settings["interpolate"],)
    return SHARES


def estimate_seconds(candidate: Candidate, facts: "fact_types.Facts") -> float:
    """Estimates the seconds of a candidate's trial.

    The time of an earlier trial of the same layers is taken if there is one;
    else a training step is counted as three forward passes of the layers that
    it reaches.

    Args:
        candidate: The settings.
        facts: Their costs are measured.

    Returns:
        Seconds, the computation of missing views included.
    """
    same = [
        each.seconds
        for each in facts.trials
        if each.candidate.trainable == candidate.trainable
    ]
    if same:
        return max(same)
    costs, epochs = facts.costs, facts.settings["epochs"]
    passed = 0.0
    if candidate.trainable != _ALL:
        passed = costs.frozen_share
    pass_seconds = costs.forward * (1 - passed)
    load = costs.load if not passed else 0.0
    step = load + 3 * pass_seconds
    views = 0.0
    if passed:
        views = costs.missing_views * (costs.load + costs.forward * passed)
    start = _START_SECONDS.get(candidate.trainable, _START_SECONDS_ALL)
    # The start and the best share are evaluated, too.
    evaluations = epochs + len(list_shares(facts)) + 2
    return (
        start
        + views
        + epochs * facts.training_pictures * step
        + evaluations * facts.validation_pictures * (load + pass_seconds)
    )
