"""The unlabeled pictures of a run, without those of its own splits."""

import collections
import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from tf_finetune.data import data_statistics, examples, unlabeled_files

_MAX_SHOWN = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pool:
    """Usable unlabeled pictures, and counts of those left out.

    Attributes:
        found: Number of files.
        pictures: Pictures to train on; each content once.
        dropped: Files that are not usable pictures, with the reason.
        known: Number of pictures, by split, that the run's own data already
            holds, compared by content. Validation and test pictures must not
            be trained on in any way; training pictures have a label.
        repeated: Number of files with the same content as another one.
    """

    found: int
    pictures: tuple[examples.Picture, ...]
    dropped: tuple[examples.DroppedFile, ...]
    known: Mapping[str, int]
    repeated: int

    @property
    def fingerprint(self) -> str:
        """Hexadecimal hash over the contents of `pictures`."""
        # Sorted: where the files lie and how they are called plays no part.
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
        """Returns the counts and the first dropped files, in a few lines."""
        known = "".join(
            f", {count} already in {split}"
            for split, count in self.known.items()
        )
        lines = [
            f"{len(self.pictures)} unlabeled pictures (of {self.found} files: "
            f"{len(self.dropped)} dropped, {self.repeated} duplicates"
            f"{known})"
        ]
        shown = self.dropped[:_MAX_SHOWN]
        lines += [
            f"  dropped {data_statistics.format_dropped(each)}"
            for each in shown
        ]
        if rest := len(self.dropped) - len(shown):
            files = data_statistics.format_count(rest, "more dropped file")
            lines.append(f"  {files} not listed here")
        return "\n".join(lines)

    def without(self, problems: Mapping[str, str]) -> "Pool":
        """Moves pictures that cannot be decoded to the dropped files.

        Args:
            problems: Reason by path.
        """
        bad = [
            examples.DroppedFile(path=each.path, reason=problems[each.path])
            for each in self.pictures
            if each.path in problems
        ]
        good = tuple(e for e in self.pictures if e.path not in problems)
        return dataclasses.replace(
            self, pictures=good, dropped=(*self.dropped, *bad)
        )


def collect_pool(
    paths: Sequence[str],
    own: Sequence[examples.Picture],
    *,
    max_pixels: int,
) -> Pool:
    """Inspects headers and contents; removes duplicates and known pictures.

    Args:
        paths: Of files that may be pictures.
        own: The run's pictures, of all splits.
        max_pixels: Pictures of more pixels are dropped.
    """
    pictures, problems = unlabeled_files.inspect_files(
        list(paths), max_pixels=max_pixels
    )
    # By the SHA-256 of the file: a copy under another name is the same picture.
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
            examples.DroppedFile(path=path, reason=reason)
            for path, reason in problems.items()
        ),
        known={s: known[s] for s in examples.SPLITS if known[s]},
        repeated=repeated,
    )
