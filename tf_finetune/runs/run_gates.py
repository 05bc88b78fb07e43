"""Gates of a run: figures that its result must reach."""

from collections.abc import Mapping
from typing import Any

from tf_finetune import errors
from tf_finetune.evaluation import gates, reference_run
from tf_finetune.runs import context as contexts


def check_gates(
    context: contexts.RunContext, figures: Mapping[str, Any]
) -> None:
    """Raises `GateError` if a figure misses a gate."""
    output, measures = context.config.output, context.task.figures
    split = _choose_gate_split(context)
    failed = list(
        gates.find_failures(figures[split], output.fail_below, measures)
    )
    rival = output.fail_if_not_better_than
    if rival:
        theirs, name = figures[split]["baselines"]["probe"], "the probe"
        if rival != "probe":
            theirs, name = (
                _load_reference_run(context)[split],
                f"the run in {rival}",
            )
        failed.append(
            gates.explain_not_better(figures[split], theirs, name, measures)
        )
    # An empty sentence stands for a gate that was passed.
    failed = [sentence for sentence in failed if sentence]
    if failed:
        raise errors.GateError(
            f"{' '.join(failed)} (The run is finished; its results are in "
            f"{context.place.path}.)"
        )


def _choose_gate_split(context: contexts.RunContext) -> str:
    return next(
        each for each in reference_run.SPLITS if each in context.data.splits
    )


def _load_reference_run(context: contexts.RunContext) -> dict[str, Any]:
    """Returns the figures of the run that this one must beat."""
    rival = context.config.output.fail_if_not_better_than
    found = reference_run.read_figures(
        rival, context.task.name, context.task.figures
    )
    reference_run.check_data(
        found, rival, context.data.fingerprint, _choose_gate_split(context)
    )
    return found


def check_reference_run(context: contexts.RunContext) -> None:
    """Raises `UsageError` if the run to beat cannot be compared with."""
    # The probe belongs to this run; any other word is a workdir.
    if context.config.output.fail_if_not_better_than not in (None, "probe"):
        _load_reference_run(context)
