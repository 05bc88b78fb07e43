"""Command-line flags derived from frozen dataclasses.

A field is declared once. It is the keyword of the Python API, the absl flag of
the shell and of flagfiles, and one entry of `--help`.
"""

import contextlib
import dataclasses
import pathlib
import types
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from absl import flags

from tf_finetune import errors
from tf_finetune.config import (
    conditions,
    flag_parser,
    option_types,
    unknown_options,
)
from tf_finetune.synonyms import value_synonyms as synonyms

Config = TypeVar("Config")


def option(
    default: Any,
    help: str,
    *,
    used_by: conditions.Conditions = types.MappingProxyType({}),
    names_part: bool = False,
    known_parts: Sequence[str] = (),
    in_recipe: bool = False,
) -> Any:
    """Declares an option as a dataclass field: default, help and readers.

    Args:
        default: Value where the option is not given.
        help: Entry in `--help`.
        used_by: Values of other flags with which something reads the option;
            with others, it is refused unless it has its default.
        names_part: Whether it may name a component of the user's own, as
            `package.module:attribute`.
        known_parts: Components that `used_by` of other options may list; one
            of the user's own may read every option.
        in_recipe: Whether `--recipe=auto` may choose its value.
    """
    metadata = {
        "help": help,
        "used_by": used_by,
        "names_part": names_part,
        "known_parts": known_parts,
        "in_recipe": in_recipe,
    }
    return dataclasses.field(default=default, metadata=metadata)


def reuse(config_class: type, name: str, **changes: Any) -> Any:
    """Declares an option with the default and help of another config's one.

    Args:
        config_class: The other config.
        name: The option there.
        **changes: Arguments of `option` that differ here.
    """
    field = find_field(config_class, name)
    return option(**{"default": field.default, **field.metadata, **changes})


def find_field(config_class: type, name: str) -> dataclasses.Field:
    """Returns the field of an existing option, also of a nested config."""
    (found,) = [f for n, f, _, _ in list_options(config_class) if n == name]
    return found


def group(config_class: type[Config], title: str) -> Config:
    """Declares a nested config whose fields become flags of the same name.

    Args:
        config_class: A frozen dataclass of options.
        title: The heading of its flags in `--help`; "" keeps the headings of
            the groups within it.
    """
    return dataclasses.field(
        default_factory=config_class, metadata={"title": title}
    )


def from_keywords(config_class: type[Config], keywords: Mapping) -> Config:
    """Builds a config from values by option name, nested options included.

    Options that are not named get their defaults.

    Raises:
        UsageError: A name is unknown, or a value has a wrong type or range.
    """
    every = list_options(config_class)
    known = {name: field for name, field, _, _ in every}
    if others := [name for name in keywords if name not in known]:
        groups: dict[str, list[str]] = {}
        for name, _, _, title in every:
            groups.setdefault(title, []).append(name)
        raise errors.UsageError(
            unknown_options.explain_keywords(others, groups)
        )
    checked = {
        name: _check_value(known[name], value)
        for name, value in keywords.items()
    }
    return _build_config(config_class, checked)


def replace(config: Config, **changes: Any) -> Config:
    """Returns a new config with some options changed.

    Values are checked and errors raised as in `from_keywords`.
    """
    return from_keywords(type(config), collect_values(config) | changes)


def from_flags(config_class: type[Config], values: flags.FlagValues) -> Config:
    """Builds a config from parsed flags; a bad value raises `UsageError`."""
    names = [name for name, _, _, _ in list_options(config_class)]
    return from_keywords(config_class, {n: values[n].value for n in names})


def define_flags(config_class: type, values: flags.FlagValues) -> None:
    """Defines one flag in `values` for each option, nested ones included."""
    for name, field, default, title in list_options(config_class):
        kind, optional = option_types.split_optional(field)
        values[name] = _Flag(
            parser=_Parser(kind, optional),
            serializer=_Serializer(),
            name=name,
            default=default,
            help_string=field.metadata["help"],
            boolean=kind is bool,
        )
        # absl groups `--help` by module; a title takes the place of its name.
        values.register_key_flag_for_module(title, values[name])


def to_flagfile(config: Any) -> str:
    """Returns the text of a flagfile that recreates `config`, one flag a line.

    A value that cannot be written so (a line break) raises `UsageError`.
    """
    lines = []
    values = collect_values(config)
    for name, field, _, _ in list_options(type(config)):
        value = values[name]
        text = to_text(value)
        if not _is_reversible(field, value, text):
            raise errors.UsageError(
                f"--{name} cannot be written to a flagfile: it has a line "
                "break, a blank at an end or a comma in an entry; got "
                f"{value!r}."
            )
        lines.append(to_flag(name, value))
    return "\n".join(lines) + "\n"


def _is_reversible(field: dataclasses.Field, value: Any, text: str) -> bool:
    """Returns whether a value survives the way through a flagfile."""
    with contextlib.suppress(ValueError):
        text.encode("utf-8", errors="surrogateescape")
        again = _Parser(*option_types.split_optional(field)).parse(text)
        # absl strips blanks at the end of a line.
        is_line = text == text.rstrip() and len(text.splitlines()) < 2
        return is_line and again == value
    return False


def from_flagfile(
    config_class: type[Config],
    path: str,
    *,
    within: pathlib.Path | None = None,
) -> Config:
    """Builds a config from a flagfile; `absl.flags.FLAGS` stays as it is.

    Args:
        config_class: The dataclass whose flags it sets.
        path: The file. `UsageError` if it names another one or is faulty.
        within: The folder that the file must lie in; None: any.
    """
    values = flag_parser.ArgumentFlagValues()
    define_flags(config_class, values)
    flag_parser.parse_file(values, path, within=within)
    return from_flags(config_class, values)


def to_flag(name: str, value: Any) -> str:
    """Formats an option as one flag: "--epochs=5", "--nocalibrate"."""
    # absl spells a false boolean --noNAME.
    return f"--no{name}" if value is False else f"--{name}={to_text(value)}"


def to_text(value: Any) -> str:
    """Formats a value as the text of a flag: "none", "a,b", "0.5"."""
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return ",".join(str(each) for each in value)
    return str(value)


def list_options(
    config_class: type,
) -> list[tuple[str, dataclasses.Field, Any, str]]:
    """Returns (name, field, default, title of its group) of all options."""
    found = []
    for field in dataclasses.fields(config_class):
        if "title" in field.metadata:
            title = field.metadata["title"]
            inner = list_options(field.default_factory)
            found += [(n, f, v, title or own) for n, f, v, own in inner]
        else:
            found.append((field.name, field, field.default, "run"))
    names = [name for name, _, _, _ in found]
    if twice := {name for name in names if names.count(name) > 1}:
        raise TypeError(f"{config_class.__name__} declares {twice} twice.")
    return found


def collect_values(config: Any) -> dict[str, Any]:
    """Returns the values of all options by name, nested ones included."""
    found = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if "title" in field.metadata:
            found |= collect_values(value)
        else:
            found[field.name] = value
    return found


class _Flag(flags.Flag):
    """An absl flag whose `None` can be written: `--learning_rate=none`."""

    def _parse(self, argument: Any) -> Any:
        try:
            return self.parser.parse(argument)
        except ValueError as error:
            # Advice on values of other packages, such as --precision=fp16.
            meant = synonyms.find_advice(self.name, str(argument))
            raise flags.IllegalFlagValueError(
                f"--{self.name} {error}" + (f" {meant}" if meant else "")
            ) from error


class _Parser(flags.ArgumentParser):
    def __init__(self, kind: Any, optional: bool) -> None:
        super().__init__()
        self._kind, self._optional = kind, optional

    def flag_type(self) -> str:
        return option_types.describe_type(self._kind)

    def parse(self, argument: Any) -> Any:
        # Defaults are Python values already.
        if argument is None or not isinstance(argument, str):
            return argument
        if self._optional and argument.lower() in ("none", ""):
            return None
        return option_types.parse_text(self._kind, argument)


class _Serializer(flags.ArgumentSerializer):
    def serialize(self, value: Any) -> str:
        return to_text(value)


def _check_value(field: dataclasses.Field, value: Any) -> Any:
    kind, optional = option_types.split_optional(field)
    if value is None and optional:
        return None
    try:
        return option_types.convert_value(kind, value)
    except ValueError as error:
        meant = synonyms.find_advice(field.name, str(value))
        raise errors.UsageError(
            f"--{field.name} {error}" + (f" {meant}" if meant else "")
        ) from error


def _build_config(
    config_class: type[Config], values: Mapping[str, Any]
) -> Config:
    keywords = {}
    for field in dataclasses.fields(config_class):
        if "title" in field.metadata:
            keywords[field.name] = _build_config(field.default_factory, values)
        elif field.name in values:
            keywords[field.name] = values[field.name]
    return config_class(**keywords)
