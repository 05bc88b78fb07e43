"""Classes of an earlier run in a new one: kept, renamed, merged, dropped, new.

Needs no TensorFlow, so that a plan is checked before it starts.
"""

import dataclasses
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from tf_finetune import errors
from tf_finetune.data import class_names

Action = Literal["kept", "renamed", "merged", "new", "dropped"]

# Rows of the table in a plan; the rest is counted.
_MAX_ROWS = 40


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassRow:
    """Origin of one class.

    Attributes:
        name: Name in the new run; "" for a dropped class.
        sources: Names in the earlier run; () for a new class.
        action: "kept", "renamed", "merged" (of several classes), "new" (from no
            earlier class) or "dropped".
        has_pictures: Whether the new run has pictures of it.
    """

    name: str
    sources: tuple[str, ...]
    action: Action
    has_pictures: bool = True

    @property
    def told(self) -> str:
        """The action in the words of the plan: "kept without pictures"."""
        return self.action + ("" if self.has_pictures else " without pictures")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassPlan:
    """Origins of all classes of a run.

    Attributes:
        rows: The classes of the new run in their order, then those dropped.
        earlier_names: Classes of the earlier run, in the order of its outputs.
    """

    rows: tuple[ClassRow, ...]
    earlier_names: tuple[str, ...]

    @property
    def outputs(self) -> tuple[ClassRow, ...]:
        """The rows of the new run's classes, in the order of its outputs."""
        return tuple(row for row in self.rows if row.action != "dropped")

    @property
    def new_places(self) -> list[int]:
        """Indices of the new run's outputs that come from no earlier class."""
        return [
            place
            for place, row in enumerate(self.outputs)
            if row.action == "new"
        ]

    @property
    def absent_places(self) -> list[int]:
        """Outputs of the new run whose classes have no pictures."""
        return [
            place
            for place, row in enumerate(self.outputs)
            if not row.has_pictures
        ]

    def summarize(self) -> str:
        """Counts the classes by action: "2 kept, 1 new"."""
        counts = Counter(row.told for row in self.rows)
        return ", ".join(f"{count} {each}" for each, count in counts.items())

    def format_table(self) -> str:
        """Formats a table: class, class of the earlier run, action."""
        lines = [("class", "from", "action")]
        for row in self.rows[:_MAX_ROWS]:
            action = "new, solved" if row.action == "new" else row.told
            source = " + ".join(row.sources) or "-"
            lines.append((row.name or "-", source, action))
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        text = [
            "  ".join(
                cell.ljust(width)
                for cell, width in zip(line, widths, strict=True)
            ).rstrip()
            for line in lines
        ]
        left = len(self.rows) - _MAX_ROWS
        return "\n".join([*text, f"… and {left} more"] if left > 0 else text)


def parse_class_map(specs: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Parses `--class_map` to classes of the earlier run by new name.

    Args:
        specs: Each "NEW:OLD", "NEW:OLD+OLD" or ":OLD".

    Returns:
        The classes that go into each; those that are dropped under "".

    Raises:
        UsageError: One has another form, or a name occurs twice on a side.
    """
    found: dict[str, tuple[str, ...]] = {}
    used: list[str] = []
    for spec in specs:
        new, colon, text = spec.partition(":")
        new, old = new.strip(), tuple(each.strip() for each in text.split("+"))
        if not (colon and all(old)):
            raise errors.UsageError(
                f"--class_map={spec} must be NEW:OLD (a renamed class), "
                "NEW:OLD+OLD (merged ones) or :OLD (a dropped one)."
            )
        # ":OLD" may be given several times: it drops a class.
        is_again = bool(new) and new in found
        # The set is smaller where an old class is named twice.
        if is_again or len({*used, *old}) < len(used) + len(old):
            raise errors.UsageError(
                f"--class_map={','.join(specs)} names a class twice on one "
                "side; each class has one origin, and goes into one class."
            )
        found[new] = (*found.get(new, ()), *old)
        used += old
    return found


def list_kept(
    earlier_names: Sequence[str], mapping: Mapping[str, tuple[str, ...]]
) -> tuple[str, ...]:
    """Lists the classes that an earlier run hands on, with pictures or not.

    Args:
        earlier_names: Classes of the earlier run.
        mapping: From `parse_class_map`.

    Returns:
        Their names in the new run, in the order of the earlier one.

    Raises:
        UsageError: `mapping` names classes that do not exist, or gives a class
            the name of another one that stays.
    """
    # Each old class goes into one new one; into "" where it is dropped.
    goes_into = {old: new for new in mapping for old in mapping[new]}
    _check_names("the earlier run", [*goes_into], earlier_names)
    # Another class takes the name, and the class itself goes nowhere.
    lost = [e for e in earlier_names if e in mapping and e not in goes_into]
    if lost:
        raise errors.UsageError(
            f"--class_map gives the name {lost[0]!r} to another class, and the "
            "earlier run has a class of that name. Merge both "
            f"({lost[0]}:{'+'.join([lost[0], *mapping[lost[0]]])}), rename it, "
            f"or drop it (:{lost[0]})."
        )
    # Merged classes stand once, where the first of them stood.
    found = [goes_into.get(each, each) for each in earlier_names]
    return tuple(dict.fromkeys(each for each in found if each))


def plan_classes(
    names: Sequence[str],
    earlier_names: Sequence[str],
    mapping: Mapping[str, tuple[str, ...]],
    absent: Collection[str] = (),
) -> ClassPlan:
    """Plans the origin of every class by its name.

    Args:
        names: Classes of the new run, in the order of its outputs.
        earlier_names: Classes of the earlier run.
        mapping: From `parse_class_map`.
        absent: Those of `names` that have no pictures.

    Raises:
        UsageError: `mapping` names classes that do not exist, or no class of
            the new run comes from the earlier one.
    """
    moved = [each for old in mapping.values() for each in old]
    _check_names("the new run", [e for e in mapping if e], names)
    _check_names("the earlier run", moved, earlier_names)
    rows = []
    for name in names:
        # An old name whose class was moved away is that of a new class.
        stays = name in earlier_names and name not in moved
        old = mapping.get(name, (name,) if stays else ())
        action = "merged" if len(old) > 1 else "renamed"
        if name not in mapping:
            action = "kept" if stays else "new"
        rows.append(
            ClassRow(
                name=name,
                sources=old,
                action=action,
                has_pictures=name not in absent,
            )
        )
    # Then nothing is kept: a typo, or the run of other classes.
    if all(row.action == "new" for row in rows):
        raise errors.UsageError(
            "--classes: none of the classes of the pictures "
            f"({class_names.join_names(names)}) is one of the earlier run "
            f"({class_names.join_names(earlier_names)}). Name renamed ones "
            "with --class_map=NEW:OLD, keep all with --classes=keep, or leave "
            "--classes out."
        )
    taken = {each for row in rows for each in row.sources}
    rows += [
        ClassRow(name="", sources=(each,), action="dropped")
        for each in earlier_names
        if each not in taken
    ]
    return ClassPlan(rows=tuple(rows), earlier_names=tuple(earlier_names))


def _check_names(
    owner: str, wanted: Sequence[str], known: Sequence[str]
) -> None:
    unknown = [each for each in wanted if each not in known]
    if unknown:
        raise errors.UsageError(
            f"--class_map names {class_names.join_names(unknown)}, no class of "
            f"{owner}, which has: {class_names.join_names(known)}."
        )
