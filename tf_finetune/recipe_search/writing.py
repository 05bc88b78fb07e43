"""Texts and files of a recipe: lines, recipe.json and recipe.flags."""

import dataclasses
import math
import pathlib
import textwrap
from typing import Any

from tf_finetune import files
from tf_finetune.config import options, train_config
from tf_finetune.recipe_search import candidates, recipe
from tf_finetune.recipe_search import decisions as decision_types

_VERSION = 1
_HEAD = (
    "# Settings chosen from the data. Train with them: python -m "
    "tf_finetune.train\n# --flagfile=recipe.flags\n"
)


def format_line(decision: decision_types.Decision) -> str:
    """Formats a decision as a line: "learning rate 0.001: REASON (--FLAG)"."""
    words = decision.flag.replace("_", " ")
    value = _format_value(decision.value)
    return f"{words} {value}: {decision.because} (--{decision.flag})"


def format_lines(found: recipe.Recipe) -> list[str]:
    """Formats a recipe as lines for the log and the plan.

    Args:
        found: The recipe; values that the user gave have no line.

    Returns:
        A line for each decision, each trial that was not made and each
        warning.
    """
    lines = [format_line(e) for e in found.decisions if not e.given]
    if not lines:
        lines.append("recipe: every setting keeps its default or given value")
    if found.facts.trials and found.facts.holds_out:
        lines.append(
            "trials: judged on a fifth of the training pictures and on the "
            f"{found.facts.validation_pictures} validation pictures, which are "
            f"fewer than {candidates.FEWEST_VALIDATION}"
        )
    if found.note:
        lines.append(found.note)
    for step in found.not_tried:
        lines.append(
            f"not tried: {step.what}, which needs about "
            f"{step.needs_seconds:.0f} s ({found.budget_flag})"
        )
    return [*lines, *found.warnings]


def build_json(found: recipe.Recipe) -> dict[str, Any]:
    """Builds the content of recipe.json, without writing it.

    Args:
        found: The recipe.

    Returns:
        A dict with the keys version, data_fingerprint, backbone, device, facts,
        budget_seconds, spent_seconds, decisions, trials, not_tried, warnings,
        note.
    """
    return {
        "version": _VERSION,
        "data_fingerprint": found.fingerprint,
        "backbone": found.facts.backbone,
        "device": found.facts.device,
        "facts": found.facts.to_json(),
        "budget_seconds": found.budget_seconds,
        "spent_seconds": round(found.spent_seconds, 1),
        "decisions": [_describe(each) for each in found.decisions],
        "trials": [_describe_trial(each) for each in found.facts.trials],
        "not_tried": [each.to_json() for each in found.not_tried],
        "warnings": [*found.warnings],
        "note": found.note,
    }


def build_flags(found: recipe.Recipe) -> str:
    """Builds the text of recipe.flags, with a reason above each flag.

    Args:
        found: The recipe.

    Returns:
        A flagfile: the chosen values with their reasons, the other values that
        differ from the defaults, and `--recipe=none`.
    """
    parts, chosen = [_HEAD], set(found.changes)
    for each in found.decisions:
        if not each.given:
            # absl takes a comment behind a value for a part of it.
            reason = textwrap.fill(
                format_line(each),
                width=79,
                initial_indent="# ",
                subsequent_indent="# ",
                break_on_hyphens=False,
                break_long_words=False,
            )
            flag = options.to_flag(each.flag, each.value)
            parts.append(f"{reason}\n{flag}\n")
    usual = options.collect_values(train_config.TrainConfig())
    own = ("workdir", "overwrite", "plan", "recipe")
    others = [
        options.to_flag(name, value)
        for name, value in options.collect_values(found.config).items()
        if value != usual[name] and name not in {*chosen, *own}
    ]
    parts.append("\n".join(["# given", *others]) + "\n" if others else "")
    parts.append("# no trial is made again\n--recipe=none\n")
    return "\n".join(part for part in parts if part)


def write_files(
    found: recipe.Recipe, json_path: pathlib.Path, flags_path: pathlib.Path
) -> None:
    """Writes a recipe as JSON and as a flagfile, each atomically."""
    files.write_text(flags_path, build_flags(found))
    files.write_json(json_path, build_json(found))


def _describe(decision: decision_types.Decision) -> dict[str, Any]:
    return {
        "flag": decision.flag,
        "value": decision.value,
        "rule": decision.rule,
        "because": decision.because,
        "source": decision.source,
        "given": decision.given,
        "candidates": [
            {
                "value": getattr(each.candidate, decision.flag),
                **_describe_figures(each),
            }
            for each in decision.compared
        ],
    }


def _describe_trial(trial: candidates.Trial) -> dict[str, Any]:
    return {
        **dataclasses.asdict(trial.candidate),
        **_describe_figures(trial),
        "interpolate": trial.interpolate,
        "cache": trial.cache,
    }


def _describe_figures(trial: candidates.Trial) -> dict[str, float | None]:
    is_finite = math.isfinite(trial.log_loss)
    return {
        # JSON has no NaN: a trial that diverged.
        "validation_log_loss": trial.log_loss if is_finite else None,
        "validation_accuracy": trial.accuracy,
        "seconds": trial.seconds,
    }


def _format_value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return options.to_text(value)
