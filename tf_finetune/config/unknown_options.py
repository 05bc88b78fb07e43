"""Error messages for unknown flags, keywords and arguments."""

import difflib
import os
import re
from collections.abc import Callable, Mapping, Sequence

from tf_finetune import terminal_escapes
from tf_finetune.synonyms import flag_synonyms as synonyms
from tf_finetune.synonyms import value_synonyms

_SHOWN = 10

Groups = Mapping[str, Sequence[str]]
"""Flags by the title of their group."""


def explain_flags(names: Sequence[str], groups: Groups) -> str:
    """Returns the message about unknown flags of a command line.

    Args:
        names: The unknown flags, without dashes.
        groups: Known flags by title of their group.
    """
    return _join_sentences(
        [
            f"Unknown flag --{each}. {suggest_flag(each, groups)}"
            for each in names
        ]
    )


def explain_keywords(names: Sequence[str], groups: Groups) -> str:
    """Returns the message about unknown keywords of a call.

    Args:
        names: The unknown keywords.
        groups: Known options by title of their group.
    """
    known = {each for found in groups.values() for each in found}
    return _join_sentences(
        [
            f"Unknown option {each!r}. "
            f"{_replace_flags(suggest_flag(each, groups), known)}"
            for each in names
        ]
    )


def explain_argument(text: str, groups: Groups) -> str:
    """Returns the message about an argument that is not a flag.

    Args:
        text: The argument.
        groups: Known flags by title of their group.
    """
    known = {each for names in groups.values() for each in names}
    start = f"Arguments must be flags (--name=value), got {text!r}."
    name, equals, value = text.partition("=")
    if equals and re.fullmatch(r"[A-Za-z][\w-]*", name):
        if same := _find_spelling(name, known):
            return f"{start} Did you mean --{same}={value}?"
        return f"{start} {suggest_flag(name, groups)}"
    if os.path.isfile(os.path.join(text, "run.json")) and "workdir" in known:
        return (
            f"{start} Did you mean --workdir={text}? A run of that name exists."
        )
    if "data" in known and os.path.lexists(text):
        kind = "folder" if os.path.isdir(text) else "file"
        return (
            f"{start} Did you mean --data={text}? A {kind} of that name "
            "exists. (Give several files as a quoted pattern, and lists with "
            "commas.)"
        )
    if "data" in known:
        return f"{start} Pictures are given as --data={text}."
    return start


def suggest_flag(name: str, groups: Groups) -> str:
    """Returns a sentence that suggests a flag for an unknown name.

    Suggestions go from the surest to the vaguest: another spelling, a flag of
    another command or package, a typing error, the flags of a group.

    Args:
        name: The unknown name, without dashes.
        groups: Known flags by title of their group.
    """
    known = [each for names in groups.values() for each in names]
    # From the surest suggestion to the vaguest: another spelling, a flag of
    # another command or package, a typing error, a group of flags.
    if same := _find_spelling(name, known):
        return f"It is spelled --{same}."
    elsewhere = _find_in_commands(name)
    found = synonyms.find_synonym(name, known)
    if not found and not elsewhere:
        # The cutoff is difflib's similarity ratio, 1 for equal names.
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.7)
        # A setting of another package that is nearer was meant:
        # "num_clases" is "num_classes", not "classes".
        ratio = (
            difflib.SequenceMatcher(None, near[0], name).ratio() if near else 0
        )
        found = synonyms.find_misspelled(name, known, nearer_than=ratio)
        if near and not found:
            return f"Did you mean {' or '.join(f'--{e}' for e in near)}?"
    if found and (not found.flag or found.flag in (*known, "flagfile")):
        here = f"Here it is --{found.flag}. " if found.flag else ""
        return here + found.advice
    if elsewhere or found:
        return _explain_owner(elsewhere or found.flag)
    return _list_group(name, groups)


def _find_spelling(name: str, known: Sequence[str]) -> str | None:
    """Returns the flag of which a name is another spelling, if any."""
    asked = value_synonyms.normalize_name(name)
    found = [
        each for each in known if value_synonyms.normalize_name(each) == asked
    ]
    return found[0] if found else None


def _list_flags() -> dict[str, list[str]]:
    """Returns the flags of every command, those of training first."""
    # Imported late: these modules import `options`, which imports this one.
    from tf_finetune.config import (
        command_configs,
        options,
        serve_config,
        train_config,
    )

    classes = {
        "train": train_config.TrainConfig,
        "evaluate": command_configs.EvaluateConfig,
        "predict": command_configs.PredictConfig,
        "export": command_configs.ExportConfig,
        "serve": serve_config.ServeConfig,
        "cache": command_configs.CacheConfig,
    }
    return {
        command: [name for name, *_ in options.list_options(each)]
        for command, each in classes.items()
    }


def _find_in_commands(name: str) -> str | None:
    """Returns the flag of another command of which a name is a spelling."""
    every = [e for names in _list_flags().values() for e in names]
    return _find_spelling(name, every)


def _explain_owner(flag: str) -> str:
    owners = [each for each, names in _list_flags().items() if flag in names]
    shown = " and ".join(f"`python -m tf_finetune.{each}`" for each in owners)
    more = ""
    if owners == ["train"]:
        more = ", and a finished run keeps what it was trained with"
    return f"--{flag} is a flag of {shown}, not of this command{more}."


def _list_group(name: str, groups: Groups) -> str:
    """Lists the flags of the group that shares a word with a name."""
    words = {each for each in name.lower().split("_") if len(each) > 2}
    for title, names in groups.items():
        alike = [e for e in names if words & {*e.split("_")}]
        if alike or words & {*title.split()}:
            listed = ", ".join(f"--{each}" for each in names)
            return f"The flags of {title}: {listed}."
    return ""


def _join_sentences(sentences: Sequence[str]) -> str:
    shown = [each.strip() for each in sentences[:_SHOWN]]
    if len(sentences) > _SHOWN:
        shown.append(f"… and {len(sentences) - _SHOWN} more.")
    return terminal_escapes.join_lines(shown)


def _replace_flags(text: str, known: set[str]) -> str:
    """Replaces flags in a sentence by keywords of Python."""
    others = {each for names in _list_flags().values() for each in names}
    every = "|".join(sorted({*known, *others}))
    # Numbers stay bare, words get quotes: --epochs=3 → epochs=3,
    # --head=mlp → head="mlp".
    spelled: list[tuple[str, Callable[[re.Match], str] | str]] = [
        (rf"--({every})=([\d.]*\d)\b", r"\1=\2"),
        (rf"--({every})=([\w/+*]+)", r'\1="\2"'),
        (rf"--({every})\b", r"\1"),
    ]
    for pattern, replacement in spelled:
        text = re.sub(pattern, replacement, text)
    return text.replace("The flags of", "The options of").replace(
        "is a flag of", "is an option of"
    )
