"""Assigns pictures to the training, validation and test splits."""

import collections
import dataclasses
from collections.abc import Sequence

from tf_finetune import errors
from tf_finetune.config import data_options, options
from tf_finetune.data import examples, label_protocol, stratified_split

DEFAULT_TEST_FRACTION = 0.15
"""Share of the test split where the data brings no split of its own."""

# Held-out splits first: a test picture that is also trained on would be
# answered from memory.
_SPLIT_PRIORITY = ("test", "validation", "train")
"""Splits by priority: of equal pictures that in the earlier one stays."""


def check_pictures(
    pictures: Sequence[examples.Picture], labels: label_protocol.Labels
) -> None:
    """Checks that the pictures can be trained on and divided into splits.

    Args:
        pictures: All usable pictures; their splits may be None.
        labels: The task's labels, which check that there is something to learn.

    Raises:
        DataError: There is no picture, there are splits but not train, nothing
            can be learned from the labels, or some pictures have a split and
            some do not.
    """
    if not pictures:
        raise errors.DataError("The data holds no usable picture.")
    splits = sorted({p.split for p in pictures if p.split})
    if splits and "train" not in splits:
        raise errors.DataError(
            f"The data holds pictures of the {' and '.join(splits)} "
            f"{'split' if len(splits) == 1 else 'splits'} but no training "
            "pictures; call their folder train/, or name the split train in "
            "the table. (`evaluate` takes such data.)"
        )
    labels.check(pictures)
    without = [p for p in pictures if p.split is None]
    if without and len(without) < len(pictures):
        raise errors.DataError(
            f"{len(without)} of {len(pictures)} pictures have no split while "
            f"the others have one, e.g. {without[0].path}; give all or none."
        )


def check_fractions(
    data: data_options.DataOptions, given: Sequence[str | None]
) -> None:
    """Raises `UsageError` for a split fraction where the data has that split.

    Args:
        data: The data options; a fraction at its default is never refused.
        given: Split that the data brings for each picture; None: none.
    """
    for split in ("validation", "test"):
        name = f"{split}_fraction"
        value = getattr(data, name)
        default = options.find_field(type(data), name).default
        if value != default and split in given:
            raise errors.UsageError(
                f"{options.to_flag(name, value)} is for data that brings no "
                f"{split} split, and --data={data.data} brings one. Leave it "
                "out; if a flagfile sets it, add "
                f"{options.to_flag(name, default)}."
            )


def assign_splits(
    pictures: Sequence[examples.Picture],
    labels: label_protocol.Labels,
    *,
    validation_fraction: float,
    test_fraction: float | None,
    max_train_per_class: int | None,
    seed: int,
) -> tuple[tuple[examples.Picture, ...], tuple[examples.DroppedFile, ...]]:
    """Assigns a split to every picture.

    Splits that the data brings are kept. Missing ones are drawn at random,
    stratified, so that neither a group nor pictures of equal bytes are divided.

    Args:
        pictures: All with or all without a split.
        labels: The task's labels, which check the result.
        validation_fraction: Share of the pictures without a split, or of those
            of train, for a missing validation split, 0..1.
        test_fraction: The same for test; None: `DEFAULT_TEST_FRACTION` where
            the data brings no split, else 0.
        max_train_per_class: The most training pictures of a class (a stratum),
            chosen at random; None: no limit.
        seed: Seed of the draws.

    Returns:
        New pictures in their order, each with its split; and the files that
        must not be used: copies of a held-out picture, and training pictures
        beyond the limit.

    Raises:
        DataError: The pictures cannot be divided so, a group lies in two
            splits, or train is missing.
    """
    check_pictures(pictures, labels)
    given = {p.split for p in pictures if p.split is not None}
    _check_groups(pictures)
    # First, so that fractions are of pictures that remain.
    kept, twins = _drop_twins(pictures)
    _check_given(kept, given)
    fractions = _missing_fractions(given, validation_fraction, test_fraction)
    divided = _draw_splits(kept, fractions, labels, seed=seed)
    labels.check_divided(divided)
    used, beyond = _limit_train(divided, max_train_per_class, seed=seed)
    return used, twins + beyond


def _missing_fractions(
    given: set[str], validation_fraction: float, test_fraction: float | None
) -> dict[str, float]:
    """Returns the fraction of each split that has to be drawn."""
    if test_fraction is None:
        test_fraction = 0.0 if given else DEFAULT_TEST_FRACTION
    fractions = {"validation": validation_fraction, "test": test_fraction}
    return {s: f for s, f in fractions.items() if s not in given and f > 0}


def _check_groups(pictures: Sequence[examples.Picture]) -> None:
    first: dict[str, examples.Picture] = {}
    for picture in pictures:
        if picture.group is None:
            continue
        other = first.setdefault(picture.group, picture)
        if other.split != picture.split:
            raise errors.DataError(
                f"The group {picture.group!r} is in two splits: "
                f"{other.path} in {other.split}, {picture.path} in "
                f"{picture.split}; move all its pictures to one split."
            )


def _drop_twins(
    pictures: Sequence[examples.Picture],
) -> tuple[tuple[examples.Picture, ...], tuple[examples.DroppedFile, ...]]:
    """Drops pictures that are byte-identical to one of a held-out split."""
    best: dict[str, examples.Picture] = {}
    for picture in pictures:
        other = best.setdefault(picture.sha256, picture)
        if _split_rank(picture) < _split_rank(other):
            best[picture.sha256] = picture
    kept, dropped = [], []
    for picture in pictures:
        twin = best[picture.sha256]
        # Equal pictures of one split all stay.
        if twin.split == picture.split:
            kept.append(picture)
        else:
            reason = f"byte-identical to a {twin.split} picture: {twin.path}"
            dropped.append(
                examples.DroppedFile(path=picture.path, reason=reason)
            )
    return tuple(kept), tuple(dropped)


def _split_rank(picture: examples.Picture) -> int:
    return _SPLIT_PRIORITY.index(picture.split or "train")


def _check_given(pictures: Sequence[examples.Picture], given: set[str]) -> None:
    present = {picture.split for picture in pictures}
    for split in sorted(given - present):
        raise errors.DataError(
            f"Every {split} picture is byte-identical to one that is held "
            f"out elsewhere; nothing is left of the {split} split."
        )
    if given and "train" not in given:
        raise errors.DataError(
            f"The data brings {' and '.join(sorted(given))} but no training "
            "pictures."
        )


def _draw_splits(
    pictures: Sequence[examples.Picture],
    fractions: dict[str, float],
    labels: label_protocol.Labels,
    *,
    seed: int,
) -> tuple[examples.Picture, ...]:
    """Draws the splits of `fractions` from the training pictures."""
    candidates = [p for p in pictures if p.split in (None, "train")]
    units = stratified_split.join_units(candidates)
    divided = stratified_split.divide_units(units, fractions, seed=seed)
    labels.check_drawn(units, divided)
    # By content: byte-identical pictures are in one unit, so that each hash has
    # one split.
    split_of = {
        picture.sha256: split
        for split, its_units in divided.items()
        for unit in its_units
        for picture in unit
    }
    return tuple(
        dataclasses.replace(p, split=split_of.get(p.sha256, p.split))
        for p in pictures
    )


def _limit_train(
    pictures: Sequence[examples.Picture], limit: int | None, *, seed: int
) -> tuple[tuple[examples.Picture, ...], tuple[examples.DroppedFile, ...]]:
    """Keeps at most `limit` random training pictures of each class."""
    if limit is None:
        return tuple(pictures), ()
    train = [(p,) for p in pictures if p.split == "train"]
    counts: collections.Counter = collections.Counter()
    beyond = set()
    for (picture,) in stratified_split.shuffle_units(
        train, seed=seed, purpose="limit"
    ):
        names = picture.strata + picture.rare_strata
        # A picture with several labels stays as long as one of them has room.
        if all(counts[name] >= limit for name in names):
            # By identity: a list may hold equal records.
            beyond.add(id(picture))
        else:
            counts.update(names)
    reason = f"beyond --max_train_per_class={limit}"
    return (
        tuple(p for p in pictures if id(p) not in beyond),
        tuple(
            examples.DroppedFile(path=p.path, reason=reason)
            for p in pictures
            if id(p) in beyond
        ),
    )
