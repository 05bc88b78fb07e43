"""The naming rule that matches masks with their pictures."""

import bisect
import collections
import dataclasses
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from tf_finetune import errors
from tf_finetune.data import class_names
from tf_finetune.data.folders import folder_words

# Masks of a folder whose names vote; rules that are counted in full.
_NUM_VOTERS = 500
_NUM_CANDIDATES = 8
# Words in the names of drawings made from masks, such as overlays; both
# spellings of color occur in the wild.
_DRAWING_TEXT = (
    "color colors colour colours colored coloured instance instances "
    "instanceids object objects vis visual overlay overlays preview polygons "
    "edge edges boundary depth panoptic blend"
)
_DRAWING_WORDS = frozenset(_DRAWING_TEXT.split())
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W\d_]+|[\W_]")


@dataclasses.dataclass(frozen=True, kw_only=True)
class NamingRule:
    """Text before and after the common part of the names of picture and mask.

    With mask=("", "_mask"), 1_mask.png is the mask of 1.jpg. Suffixes of files
    play no part.

    Attributes:
        image: (before, after) the common part in the picture's name.
        mask: (before, after) the common part in the mask's name.
    """

    image: tuple[str, str] = ("", "")
    mask: tuple[str, str] = ("", "")

    @property
    def is_same_name(self) -> bool:
        """Whether picture and mask have the same name, but for the suffix."""
        return not any((*self.image, *self.mask))

    def strip_image_affix(self, stem: str) -> str | None:
        """Returns the common part of a picture's name, with its folders.

        Args:
            stem: The picture's path without suffix.

        Returns:
            The folders and the common part; None if the name lacks the rule's
            text before or after, or nothing would be left.
        """
        return _strip_affix(stem, self.image)

    def strip_mask_affix(self, stem: str) -> str | None:
        """Returns the common part of a mask's name, with its folders.

        Args:
            stem: The mask's path without suffix.

        Returns:
            None if the name does not have the rule's text before and after.
        """
        return _strip_affix(stem, self.mask)

    def text(self) -> str:
        """Returns the rule as a phrase: "masks have '_mask' at the end"."""
        return " and ".join(
            f"{kind} have {' and '.join(describe_affix(affix))}"
            for kind, affix in (("pictures", self.image), ("masks", self.mask))
            if any(affix)
        )


SAME_NAME = NamingRule()


def find_rule(
    groups: Sequence[tuple[Collection[str], Collection[str]]],
) -> NamingRule:
    """Finds the naming rule by which most masks match their pictures.

    Args:
        groups: (stems of pictures, stems of masks) that may belong together; a
            stem is a path without suffix, its folders divided by "/".

    Returns:
        The rule of equal names, unless another one matches clearly more.

    Raises:
        DataError: Several rules fit, each for other masks of the same pictures.
    """
    groups = [(set(images), set(masks)) for images, masks in groups]
    votes: collections.Counter[NamingRule] = collections.Counter()
    for images, masks in groups:
        votes.update(_propose_rules(images, masks))
    best = [rule for rule, _ in votes.most_common(_NUM_CANDIDATES)]
    rules = {rule: _count_matches(rule, groups) for rule in (SAME_NAME, *best)}
    most = max(rules.values())
    least = min(sum(map(len, each)) for each in zip(*groups, strict=True))
    # Equal names win unless another rule matches clearly more; and a rule that
    # matches less than half of the smaller side is an accident.
    if rules[SAME_NAME] >= 0.9 * most or 2 * most < least:
        return SAME_NAME
    good = [rule for rule, count in rules.items() if count >= 0.9 * most]
    return _choose_rule(good, rules)


def find_rule_in_folder(stems: Collection[str]) -> tuple[NamingRule, int]:
    """Finds the naming rule of masks that lie beside their pictures.

    Args:
        stems: Paths without suffix, of pictures and masks together.

    Returns:
        The rule, whose affix holds a word such as mask or gt, and the number of
        masks that follow it; the rule of equal names and 0 if there are none.
    """
    stems = set(stems)
    votes: collections.Counter[NamingRule] = collections.Counter()
    for stem in filter(folder_words.has_mask_word, stems):
        folder, name = os.path.split(stem)
        for cut in _find_word_starts(name):
            for core, affix in (
                (name[:cut], ("", name[cut:])),
                (name[cut:], (name[:cut], "")),
            ):
                known = {
                    *folder_words.split_words("".join(affix))
                } & folder_words.MASKS
                if known and os.path.join(folder, core) in stems:
                    votes[NamingRule(mask=affix)] += 1
    if not votes:
        return SAME_NAME, 0
    # The most votes; of equal ones the shortest affix.
    return min(
        votes.items(), key=lambda each: (-each[1], _measure_rule(each[0]))
    )


def has_drawing_word(name: str) -> bool:
    """Tells if a name says that masks were drawn in colors: "overlay"."""
    return not _DRAWING_WORDS.isdisjoint(folder_words.split_words(name))


def _propose_rules(images: set[str], masks: set[str]) -> Iterable[NamingRule]:
    """Yields the rules that a sample of the masks may follow."""
    # Evenly spaced, since names that are sorted together look alike.
    order = sorted(masks)
    step = max(1, len(order) // _NUM_VOTERS)
    forward = sorted(images)
    # Reversed names, sorted: neighbors share the longest suffix as those in
    # `forward` share the longest prefix.
    backward = sorted(_reverse_name(each) for each in images)
    for stem in order[::step]:
        found = set(_propose_additions(stem, images))
        for near in _find_neighbors(stem, forward):
            found.add(_find_exchange(near, stem, is_turned=False))
        for near in _find_neighbors(_reverse_name(stem), backward):
            found.add(_find_exchange(_reverse_name(near), stem, is_turned=True))
        yield from (rule for rule in found if rule is not None)


def _propose_additions(stem: str, images: set[str]) -> Iterable[NamingRule]:
    """Yields rules by which the mask's name is a longer one."""
    folder, name = os.path.split(stem)
    for cut in _find_word_starts(name):
        if os.path.join(folder, name[:cut]) in images:
            yield from _keep_if_words(NamingRule(mask=("", name[cut:])))
        if os.path.join(folder, name[cut:]) in images:
            yield from _keep_if_words(NamingRule(mask=(name[:cut], "")))


def _find_exchange(
    image: str, mask: str, *, is_turned: bool
) -> NamingRule | None:
    """Returns the rule by which two names differ at one of their ends."""
    if os.path.dirname(image) != os.path.dirname(mask):
        return None
    one, other = os.path.basename(image), os.path.basename(mask)
    if is_turned:
        # The longest common end that begins at a word's boundary in both.
        length = len(os.path.commonprefix([one[::-1], other[::-1]]))
        common = {len(one) - c for c in _find_word_starts(one)} | {len(one)}
        common &= {len(other) - c for c in _find_word_starts(other)} | {
            len(other)
        }
        common = max((c for c in common if 0 < c <= length), default=0)
        a, b = one[: len(one) - common], other[: len(other) - common]
        rule = NamingRule(image=(a, ""), mask=(b, ""))
    else:
        # The longest common start that ends at a word's boundary in both.
        length = len(os.path.commonprefix([one, other]))
        common = {*_find_word_starts(one), len(one)} & {
            *_find_word_starts(other),
            len(other),
        }
        common = max((c for c in common if 0 < c <= length), default=0)
        rule = NamingRule(image=("", one[common:]), mask=("", other[common:]))
    return next(iter(_keep_if_words(rule)), None) if common else None


def _keep_if_words(rule: NamingRule) -> Iterable[NamingRule]:
    """Yields the rule if its affixes are words, not numbers alone."""
    for affix in ("".join(rule.image), "".join(rule.mask)):
        if affix and not any(c.isalpha() for c in affix):
            return
    yield rule


def _count_matches(
    rule: NamingRule, groups: Sequence[tuple[set[str], set[str]]]
) -> int:
    return sum(
        len(
            {rule.strip_image_affix(each) for each in images}
            & {rule.strip_mask_affix(each) for each in masks} - {None}
        )
        for images, masks in groups
    )


def _choose_rule(
    good: list[NamingRule], rules: Mapping[NamingRule, int]
) -> NamingRule:
    """Returns the one of several rules that finds masks, not drawings.

    Raises:
        DataError: Several remain.
    """
    # A color-coded copy of the masks matches as many names; it is not the
    # masks.
    plain = [rule for rule in good if not has_drawing_word("".join(rule.mask))]
    good = plain or good
    cores = {rule.mask: rule for rule in good}
    shortest = min(good, key=lambda rule: (_measure_rule(rule), -rules[rule]))
    rivals = [rule for rule in cores.values() if rule.image == shortest.image]
    if len(rivals) > 1:
        names = [" and ".join(describe_affix(rule.mask)) for rule in rivals]
        raise errors.DataError(
            "Each picture has several masks, whose names have "
            f"{class_names.join_names(sorted(names))}; move all but one "
            "kind elsewhere."
        )
    return shortest


def _strip_affix(stem: str, affix: tuple[str, str]) -> str | None:
    folder, name = os.path.split(stem)
    before, behind = affix
    is_long = len(name) > len(before) + len(behind)
    if not (is_long and name.startswith(before) and name.endswith(behind)):
        return None
    return os.path.join(folder, name[len(before) : len(name) - len(behind)])


def _find_word_starts(name: str) -> list[int]:
    """Returns the positions where words, numbers and separators begin."""
    return [found.start() for found in _PART.finditer(name)][1:]


def _find_neighbors(stem: str, order: Sequence[str]) -> Sequence[str]:
    at = bisect.bisect(order, stem)
    return order[max(0, at - 2) : at + 2]


def _reverse_name(stem: str) -> str:
    folder, name = os.path.split(stem)
    return os.path.join(folder, name[::-1])


def _measure_rule(rule: NamingRule) -> int:
    return sum(map(len, (*rule.image, *rule.mask)))


def describe_affix(affix: tuple[str, str]) -> list[str]:
    """Describes text before and after a name's common part, for messages.

    Args:
        affix: (before, after).

    Returns:
        ["'seg_' at the start", "'_mask' at the end"]; empty texts are left out.
    """
    before, behind = affix
    said = [f"{before!r} at the start"] if before else []
    return said + ([f"{behind!r} at the end"] if behind else [])
