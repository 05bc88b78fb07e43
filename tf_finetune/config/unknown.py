"""Error messages for unknown flags, keywords and arguments."""

import difflib
import os
import re
from collections.abc import Callable, Mapping, Sequence

from tf_finetune import escaping
from tf_finetune.synonyms import flags as synonyms
from tf_finetune.synonyms import meaning

_SHOWN = 10

Groups = Mapping[str, Sequence[str]]
"""Flags by the title of their group."""


def flags(names: Sequence[str], groups: Groups) -> str:
    """Returns the message about unknown flags of a command line."""
    return _listed(
        [f"Unknown flag --{each}. {hint(each, groups)}" for each in names]
    )


def keywords(names: Sequence[str], groups: Groups) -> str:
    """Returns the message about unknown keywords of a call."""
    known = {each for found in groups.values() for each in found}
    return _listed(
        [
            f"Unknown option {each!r}. {_in_python(hint(each, groups), known)}"
            for each in names
        ]
    )


def argument(text: str, groups: Groups) -> str:
    """Returns the message about an argument that is not a flag."""
    known = {each for names in groups.values() for each in names}
    start = f"Arguments must be flags (--name=value), got {text!r}."
    name, equals, value = text.partition("=")
    if equals and re.fullmatch(r"[A-Za-z][\w-]*", name):
        if same := _same(name, known):
            return f"{start} Did you mean --{same}={value}?"
        return f"{start} {hint(name, groups)}"
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


def hint(name: str, groups: Groups) -> str:
    """Suggests a flag for a name that is not one of the command."""
    known = [each for names in groups.values() for each in names]
    # From the surest suggestion to the vaguest: another spelling, a flag of
    # another command or package, a typing error, a group of flags.
    if same := _same(name, known):
        return f"It is spelled --{same}."
    elsewhere = _of_others(name)
    found = synonyms.find(name, known)
    if not found and not elsewhere:
        # The cutoff is difflib's similarity ratio, 1 for equal names.
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.7)
        if near:
            return f"Did you mean {' or '.join(f'--{e}' for e in near)}?"
        found = synonyms.near(name, known)
    if found and (not found.flag or found.flag in (*known, "flagfile")):
        here = f"Here it is --{found.flag}. " if found.flag else ""
        return here + found.advice
    if elsewhere or found:
        return _not_here(elsewhere or found.flag)
    return _group(name, groups)


def _same(name: str, known: Sequence[str]) -> str | None:
    """Returns the flag of which a name is another spelling, if any."""
    asked = meaning.squash(name)
    found = [each for each in known if meaning.squash(each) == asked]
    return found[0] if found else None


def _commands() -> dict[str, list[str]]:
    """Returns the flags of every command, those of training first."""
    # Imported late: these modules import `options`, which imports this one.
    from tf_finetune.config import options, serve, train, use

    classes = {
        "train": train.TrainConfig,
        "evaluate": use.EvaluateConfig,
        "predict": use.PredictConfig,
        "export": use.ExportConfig,
        "serve": serve.ServeConfig,
        "cache": use.CacheConfig,
    }
    return {
        command: [name for name, *_ in options.declared(each)]
        for command, each in classes.items()
    }


def _of_others(name: str) -> str | None:
    """Returns the flag of another command of which a name is a spelling."""
    every = [e for names in _commands().values() for e in names]
    return _same(name, every)


def _not_here(flag: str) -> str:
    owners = [each for each, names in _commands().items() if flag in names]
    shown = " and ".join(f"`python -m tf_finetune.{each}`" for each in owners)
    more = ""
    if owners == ["train"]:
        more = ", and a finished run keeps what it was trained with"
    return f"--{flag} is a flag of {shown}, not of this command{more}."


def _group(name: str, groups: Groups) -> str:
    """Lists the flags of the group that shares a word with a name."""
    words = {each for each in name.lower().split("_") if len(each) > 2}
    for title, names in groups.items():
        alike = [e for e in names if words & {*e.split("_")}]
        if alike or words & {*title.split()}:
            listed = ", ".join(f"--{each}" for each in names)
            return f"The flags of {title}: {listed}."
    return ""


def _listed(sentences: Sequence[str]) -> str:
    shown = [each.strip() for each in sentences[:_SHOWN]]
    if len(sentences) > _SHOWN:
        shown.append(f"… and {len(sentences) - _SHOWN} more.")
    return escaping.join(shown)


def _in_python(text: str, known: set[str]) -> str:
    """Replaces flags in a sentence by keywords of Python."""
    others = {each for names in _commands().values() for each in names}
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
