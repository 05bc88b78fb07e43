"""Pictures without labels that a run may learn from beside its own."""

import collections
import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from tf_finetune.data import examples, statistics, unlabelled

_SHOWN = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pool:
    """What was found, and what is left of it.

    Attributes:
        found: Number of files.
        pictures: That can be learnt from; each content once.
        dropped: Files that are no usable pictures, and why.
        known: By split, pictures that the run's own data holds already, by
            content. What validation and test hold must not be learnt from in
            any way; what training holds has a label.
        repeated: Files of the same content as another one.
    """

    found: int
    pictures: tuple[examples.Picture, ...]
    dropped: tuple[examples.Dropped, ...]
    known: Mapping[str, int]
    repeated: int

    @property
    def fingerprint(self) -> str:
        """Hexadecimal hash over the contents of `pictures`."""
        contents = sorted(each.sha256 for each in self.pictures)
        return hashlib.sha256("".join(contents).encode()).hexdigest()

    def describe(self) -> dict[str, Any]:
        """Returns the counts, ready for JSON."""
        return {
            "found": self.found,
            "used": len(self.pictures),
            "in_own_data": dict(self.known),
            "repeated": self.repeated,
            "dropped": [dataclasses.asdict(each) for each in self.dropped],
        }

    def text(self) -> str:
        """Returns what became of the files, in a few lines."""
        known = "".join(
            f", {count} in {split} already"
            for split, count in self.known.items()
        )
        lines = [
            f"{len(self.pictures)} pictures without labels (of {self.found} "
            f"files: {len(self.dropped)} dropped, {self.repeated} repeated"
            f"{known})"
        ]
        shown = self.dropped[:_SHOWN]
        lines += [f"  dropped {statistics.listed(each)}" for each in shown]
        if rest := len(self.dropped) - len(shown):
            lines.append(f"  dropped and not listed here: {rest}")
        return "\n".join(lines)

    def without(self, problems: Mapping[str, str]) -> "Pool":
        """Moves pictures that do not decode to the dropped.

        Args:
            problems: Reason by path.
        """
        bad = [
            examples.Dropped(path=each.path, reason=problems[each.path])
            for each in self.pictures
            if each.path in problems
        ]
        good = tuple(e for e in self.pictures if e.path not in problems)
        return dataclasses.replace(
            self, pictures=good, dropped=(*self.dropped, *bad)
        )


def collect(
    paths: Sequence[str],
    own: Sequence[examples.Picture],
    *,
    max_pixels: int,
) -> Pool:
    """Looks at the files' headers and contents.

    Args:
        paths: Of files that may be pictures.
        own: The run's pictures, of all splits.
        max_pixels: Pictures of more pixels are dropped.
    """
    pictures, problems = unlabelled.inspect(list(paths), max_pixels=max_pixels)
    split_of = {each.sha256: each.split for each in own}
    first: dict[str, examples.Picture] = {}
    known: collections.Counter[str] = collections.Counter()
    repeated = 0
    for picture in pictures:
        if picture.sha256 in split_of:
            known[split_of[picture.sha256]] += 1
        elif picture.sha256 in first:
            repeated += 1
        else:
            first[picture.sha256] = picture
    return Pool(
        found=len(paths),
        pictures=tuple(first.values()),
        dropped=tuple(
            examples.Dropped(path=path, reason=reason)
            for path, reason in problems.items()
        ),
        known={s: known[s] for s in examples.SPLITS if known[s]},
        repeated=repeated,
    )
