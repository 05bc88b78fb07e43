"""The naming rule that matches masks with their pictures."""

import bisect
import collections
import dataclasses
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from tf_finetune import errors
from tf_finetune.data.folders import telling, words

# Masks of a folder whose names vote; rules that are counted in full.
_SAMPLE = 500
_CANDIDATES = 8
# Words in the names of drawings made from masks, such as overlays; both
# spellings of color occur in the wild.
_DRAWINGS_WORDS = (
    "color colors colour colours colored coloured instance instances "
    "instanceids object objects vis visual overlay overlays preview polygons "
    "edge edges boundary depth panoptic blend"
)
_DRAWINGS = frozenset(_DRAWINGS_WORDS.split())
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W\d_]+|[\W_]")

_MASK = re.compile("|".join([*words.MASKS, "ground"]), re.IGNORECASE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rule:
    """Prefixes and suffixes around the common part of the two names.

    Attributes:
        image: Before and behind it in the picture's name.
        mask: Before and behind it in the mask's name.
    """

    image: tuple[str, str] = ("", "")
    mask: tuple[str, str] = ("", "")

    @property
    def is_equality(self) -> bool:
        """Whether both have the same name."""
        return not any((*self.image, *self.mask))

    def of_image(self, stem: str) -> str | None:
        """Returns the common part of a picture's name; None: it has none."""
        return _within(stem, self.image)

    def of_mask(self, stem: str) -> str | None:
        """Returns the common part of a mask's name; None: it has none."""
        return _within(stem, self.mask)

    def text(self) -> str:
        """Returns the rule as text for messages."""
        return " and ".join(
            f"{kind} have {' and '.join(words_of(affix))}"
            for kind, affix in (("pictures", self.image), ("masks", self.mask))
            if any(affix)
        )


EQUALITY = Rule()


def find(groups: Sequence[tuple[Collection[str], Collection[str]]]) -> Rule:
    """Returns the rule that most names follow.

    Args:
        groups: The stems of pictures and of masks that may belong together;
            with the folders they lie in, divided by "/".

    Raises:
        DataError: Several rules fit, each for other masks.
    """
    groups = [(set(images), set(masks)) for images, masks in groups]
    votes: collections.Counter[Rule] = collections.Counter()
    for images, masks in groups:
        votes.update(_votes(images, masks))
    best = [rule for rule, _ in votes.most_common(_CANDIDATES)]
    rules = {rule: _matched(rule, groups) for rule in (EQUALITY, *best)}
    most = max(rules.values())
    least = min(sum(map(len, each)) for each in zip(*groups, strict=True))
    # Equal names win unless another rule matches clearly more; and a rule that
    # matches less than half of the smaller side is an accident.
    if rules[EQUALITY] >= 0.9 * most or 2 * most < least:
        return EQUALITY
    good = [rule for rule, count in rules.items() if count >= 0.9 * most]
    return _preferred(good, rules)


def within_folder(stems: Collection[str]) -> tuple[Rule, int]:
    """Returns the naming rule of masks that lie beside their pictures.

    Args:
        stems: Of pictures and masks together.

    Returns:
        The rule, whose affix is a word such as mask or gt, and how many
        masks it finds.
    """
    stems = set(stems)
    votes: collections.Counter[Rule] = collections.Counter()
    for stem in filter(names_a_mask, stems):
        folder, name = os.path.split(stem)
        for cut in _cuts(name):
            for core, affix in (
                (name[:cut], ("", name[cut:])),
                (name[cut:], (name[:cut], "")),
            ):
                known = {*words.split("".join(affix))} & words.MASKS
                if known and os.path.join(folder, core) in stems:
                    votes[Rule(mask=affix)] += 1
    if not votes:
        return EQUALITY, 0
    # The most votes; of equal ones the shortest affix.
    return min(votes.items(), key=lambda each: (-each[1], _length(each[0])))


def names_a_mask(name: str) -> bool:
    """Tells if a word for masks may stand in a name."""
    return bool(_MASK.search(name))


def names_a_drawing(name: str) -> bool:
    """Tells if a name says that a picture was drawn from masks."""
    return not _DRAWINGS.isdisjoint(words.split(name))


def _votes(images: set[str], masks: set[str]) -> Iterable[Rule]:
    """Yields the rules that a sample of the masks may follow."""
    # Evenly spaced, since names that are sorted together look alike.
    order = sorted(masks)
    step = max(1, len(order) // _SAMPLE)
    forward = sorted(images)
    # Reversed names, sorted: neighbors share the longest suffix as those in
    # `forward` share the longest prefix.
    backward = sorted(_turned(each) for each in images)
    for stem in order[::step]:
        found = set(_added(stem, images))
        for near in _neighbors(stem, forward):
            found.add(_exchanged(near, stem, is_turned=False))
        for near in _neighbors(_turned(stem), backward):
            found.add(_exchanged(_turned(near), stem, is_turned=True))
        yield from (rule for rule in found if rule is not None)


def _added(stem: str, images: set[str]) -> Iterable[Rule]:
    """Yields rules by which the mask's name is a longer one."""
    folder, name = os.path.split(stem)
    for cut in _cuts(name):
        if os.path.join(folder, name[:cut]) in images:
            yield from _sound(Rule(mask=("", name[cut:])))
        if os.path.join(folder, name[cut:]) in images:
            yield from _sound(Rule(mask=(name[:cut], "")))


def _exchanged(image: str, mask: str, *, is_turned: bool) -> Rule | None:
    """Returns the rule by which two names differ at one of their ends."""
    if os.path.dirname(image) != os.path.dirname(mask):
        return None
    one, other = os.path.basename(image), os.path.basename(mask)
    if is_turned:
        # The longest common end that begins at a word's boundary in both.
        length = len(os.path.commonprefix([one[::-1], other[::-1]]))
        common = {len(one) - c for c in _cuts(one)} | {len(one)}
        common &= {len(other) - c for c in _cuts(other)} | {len(other)}
        common = max((c for c in common if 0 < c <= length), default=0)
        a, b = one[: len(one) - common], other[: len(other) - common]
        rule = Rule(image=(a, ""), mask=(b, ""))
    else:
        # The longest common start that ends at a word's boundary in both.
        length = len(os.path.commonprefix([one, other]))
        common = {*_cuts(one), len(one)} & {*_cuts(other), len(other)}
        common = max((c for c in common if 0 < c <= length), default=0)
        rule = Rule(image=("", one[common:]), mask=("", other[common:]))
    return next(iter(_sound(rule)), None) if common else None


def _sound(rule: Rule) -> Iterable[Rule]:
    """Yields the rule if its affixes are words, not numbers alone."""
    for affix in ("".join(rule.image), "".join(rule.mask)):
        if affix and not any(c.isalpha() for c in affix):
            return
    yield rule


def _matched(rule: Rule, groups: Sequence[tuple[set[str], set[str]]]) -> int:
    return sum(
        len(
            {rule.of_image(each) for each in images}
            & {rule.of_mask(each) for each in masks} - {None}
        )
        for images, masks in groups
    )


def _preferred(good: list[Rule], rules: Mapping[Rule, int]) -> Rule:
    """Returns the one of several rules that finds masks, not drawings.

    Raises:
        DataError: Several remain.
    """
    # A color-coded copy of the masks matches as many names; it is not the
    # masks.
    plain = [rule for rule in good if not names_a_drawing("".join(rule.mask))]
    good = plain or good
    cores = {rule.mask: rule for rule in good}
    shortest = min(good, key=lambda rule: (_length(rule), -rules[rule]))
    rivals = [rule for rule in cores.values() if rule.image == shortest.image]
    if len(rivals) > 1:
        names = [" and ".join(words_of(rule.mask)) for rule in rivals]
        raise errors.DataError(
            "Each picture has several masks, whose names have "
            f"{telling.listed(sorted(names))}; move all but one kind "
            "elsewhere."
        )
    return shortest


def _within(stem: str, affix: tuple[str, str]) -> str | None:
    folder, name = os.path.split(stem)
    before, behind = affix
    is_long = len(name) > len(before) + len(behind)
    if not (is_long and name.startswith(before) and name.endswith(behind)):
        return None
    return os.path.join(folder, name[len(before) : len(name) - len(behind)])


def _cuts(name: str) -> list[int]:
    """Returns the positions where words, numbers and separators begin."""
    return [found.start() for found in _PART.finditer(name)][1:]


def _neighbors(stem: str, order: Sequence[str]) -> Sequence[str]:
    at = bisect.bisect(order, stem)
    return order[max(0, at - 2) : at + 2]


def _turned(stem: str) -> str:
    folder, name = os.path.split(stem)
    return os.path.join(folder, name[::-1])


def _length(rule: Rule) -> int:
    return sum(map(len, (*rule.image, *rule.mask)))


def words_of(affix: tuple[str, str]) -> list[str]:
    before, behind = affix
    said = [f"{before!r} at the start"] if before else []
    return said + ([f"{behind!r} at the end"] if behind else [])
