"""Words of folder names that mark splits, pictures or masks."""

import dataclasses
import functools
import re
from collections.abc import Collection, Iterable, Mapping

SPLITS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("train", "training", "trn"), ("train",)),
    **dict.fromkeys(("val", "valid", "validation"), ("validation",)),
    **dict.fromkeys(("test", "testing", "tst"), ("test",)),
    **dict.fromkeys(
        ("eval", "evaluation", "dev", "devel", "development"),
        ("validation", "test"),
    ),
    **dict.fromkeys(("holdout", "heldout"), ("test", "validation")),
    "trainval": ("train",),
}
"""Splits by the lower-case words for them; of several, the first one that no
other folder stands for."""

TRAIN_AND_VALIDATION = "trainval"
"""The word for the training and the validation pictures together."""

_IMAGES_WORDS = (
    "image images img imgs picture pictures pic pics photo photos jpegimages "
    "leftimg8bit rgb input inputs frame frames original originals"
)
IMAGES = frozenset(_IMAGES_WORDS.split())
"""Words for the folder of pictures that have masks."""

_MASKS_WORDS = (
    "mask masks label labels lbl lbls annotation annotations annot anno "
    "annos gt groundtruth seg segs segmentation segmentations "
    "segmentationclass segmap segmaps target targets gtfine"
)
MASKS = frozenset(_MASKS_WORDS.split())
"""Words for the folder of masks, also in the names of masks."""

_FILLERS_WORDS = (
    "set sets data dataset datasets split splits file files folder folders "
    "dir sample samples example examples part subset the of for and all "
    "final raw full png jpg jpeg"
)
FILLERS = IMAGES | frozenset(_FILLERS_WORDS.split())
"""General words, which carry no meaning in the name of a folder."""

# Longest first: "trainvalset" is trainval and set. Short common words are left
# out, which would divide other words by chance.
_COMPOUND_PARTS = sorted(
    {*SPLITS, *MASKS, *FILLERS} - {"the", "of", "for", "and", "all", "dir"},
    key=len,
    reverse=True,
)
_JOINED_WORDS = {
    ("hold", "out"): "holdout",
    ("held", "out"): "heldout",
    ("ground", "truth"): "groundtruth",
    ("train", "val"): TRAIN_AND_VALIDATION,
    ("train", "valid"): TRAIN_AND_VALIDATION,
    ("train", "and", "val"): TRAIN_AND_VALIDATION,
    ("left", "img", "8", "bit"): "leftimg8bit",
    ("gt", "fine"): "gtfine",
    ("segmentation", "class"): "segmentationclass",
}
# Of each word in `MASKS`, also "Ground Truth", wherever it stands.
_MASK_WORD = re.compile("|".join([*MASKS, "ground"]), re.IGNORECASE)
# Capitals, a capitalized or lower-case word, digits, other letters.
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W\d_]+")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SplitAssignment:
    """The splits that folder names stand for.

    Attributes:
        split_of: Split (one of `examples.SPLITS`) by folder name.
        redundant: Reason by folder name, of names whose split other folders
            hold already; the files there are not used.
    """

    split_of: Mapping[str, str]
    redundant: Mapping[str, str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ParsedName:
    """A folder name, parsed into its words.

    Attributes:
        split: The word of the name that is in `SPLITS`, such as "val"; empty if
            there is none, or several that mean different splits.
        is_images: Whether the name holds a word of `IMAGES` and none of
            `MASKS`.
        is_masks: Whether the name holds a word of `MASKS` and none of `IMAGES`.
        rest: All words that are not in `SPLITS`, `MASKS` or `FILLERS`.
        others: All words that are not in `SPLITS` or `FILLERS` and are no
            numbers.
    """

    split: str
    is_images: bool
    is_masks: bool
    rest: tuple[str, ...]
    others: tuple[str, ...]

    @property
    def is_plain(self) -> bool:
        """Whether the name says a split and nothing else: "Train Data"."""
        return bool(self.split) and not self.others


@functools.lru_cache(maxsize=4096)
def parse_name(name: str) -> ParsedName:
    """Parses a folder name into split, kind and other words.

    Args:
        name: Name of a folder: "seg_train", "Train Data", "trainannot".

    Returns:
        The words by their meaning, in lower case.
    """
    found = split_words(name)
    # Keyed by meaning: two words for one split do not contradict.
    splits = {SPLITS[word]: word for word in found if word in SPLITS}
    masks = any(word in MASKS for word in found)
    images = any(word in IMAGES for word in found)
    others = [e for e in found if e not in SPLITS and e not in FILLERS]
    return ParsedName(
        split=next(iter(splits.values())) if len(splits) == 1 else "",
        is_images=images and not masks,
        is_masks=masks and not images,
        rest=tuple(word for word in others if word not in MASKS),
        others=tuple(word for word in others if not word.isdecimal()),
    )


def has_mask_word(name: str) -> bool:
    """Tells if a word for masks stands in a name, even inside another word."""
    return bool(_MASK_WORD.search(name))


def has_only_fillers(name: str) -> bool:
    """Tells if a name has general words only, such as "images" or "data 2"."""
    found = split_words(name)
    return bool(found) and all(
        word in FILLERS or word.isdecimal() for word in found
    )


def fold_names(names: Collection[str]) -> frozenset[str]:
    """Returns case-folded names, so that "Cats" and "cats" are one."""
    return frozenset(name.casefold() for name in names)


def split_words(name: str) -> tuple[str, ...]:
    """Splits a name into its words, in lower case and in their order.

    Args:
        name: Words divided by anything, by capitals, or written in one
            ("trainset") where all of them are known.

    Returns:
        Words such as ("train", "set"); "hold out" and the like are joined to
        one word.
    """
    found = [
        part
        for word in _WORD.findall(name)
        for part in _split_compound(word.lower()) or [word.lower()]
    ]
    joined: list[str] = []
    while found:
        for parts, word in _JOINED_WORDS.items():
            if tuple(found[: len(parts)]) == parts:
                joined.append(word)
                del found[: len(parts)]
                break
        else:
            joined.append(found.pop(0))
    return tuple(joined)


def select_split_names(names: Collection[str]) -> list[str]:
    """Selects the names in a folder that are called like splits.

    These are names of nothing but a split ("Train Data", "val2017",
    "train_masks"), and those that differ in the word of the split alone
    ("birds_train", "birds_test"). "test tube" is none beside "train".

    Args:
        names: Names of all folders that lie in one folder.

    Returns:
        The selected names, in the same order.
    """
    parsed = {name: parse_name(name) for name in names}
    with_split = [name for name, each in parsed.items() if each.split]
    splits_of = {}
    for name in with_split:
        # Names without the split's word, and the splits that occur with each.
        rest = splits_of.setdefault(parsed[name].others, set())
        rest.add(SPLITS[parsed[name].split])
    return [
        name
        for name in with_split
        if MASKS.issuperset(parsed[name].others)
        or len(splits_of[parsed[name].others]) > 1
    ]


def assign_splits(names: Iterable[str]) -> SplitAssignment:
    """Determines the split that each folder name stands for.

    A word that may mean validation or test (eval, dev, holdout) means the one
    of the two that no other name stands for.

    Args:
        names: Names of folders, each with one word of `SPLITS`.

    Returns:
        The split of each name; redundant are names whose split others take,
        and "trainval" beside a folder for train or validation.
    """
    word_of = {name: parse_name(name).split for name in names}
    split_of = {
        name: SPLITS[word][0]
        for name, word in word_of.items()
        if len(SPLITS[word]) == 1
    }
    beyond = {}
    for name, word in word_of.items():
        # trainval/ beside train/ or val/ holds the same pictures again.
        parts = [n for n, w in split_of.items() if w in ("train", "validation")]
        others = [n for n in parts if word_of[n] != TRAIN_AND_VALIDATION]
        if word == TRAIN_AND_VALIDATION and others:
            beyond[name] = f"{_join_folders(others)} hold its parts"
            del split_of[name]
    # Unambiguous words first; eval, dev and holdout take a split that is left.
    fixed = dict(split_of)
    taken: dict[str, str] = {}
    for name, word in word_of.items():
        if name in fixed or name in beyond:
            continue
        possible = [
            split
            for split in SPLITS[word]
            if split not in fixed.values() and taken.get(split, word) == word
        ]
        if possible:
            split_of[name] = possible[0]
            taken[possible[0]] = word
        else:
            held = {fixed.get(n, s): n for n, s in split_of.items()}
            beyond[name] = " and ".join(
                f"{held[split]}/ is the {split} split already"
                for split in SPLITS[word]
            )
    return SplitAssignment(split_of=split_of, redundant=beyond)


def _split_compound(word: str) -> list[str]:
    """Divides a compound into known words; empty where that fails."""
    if word in SPLITS or word in MASKS or word in FILLERS:
        return [word]
    # Backtracks through the rest; known words are short and few.
    for known in _COMPOUND_PARTS:
        if word.startswith(known) and (
            rest := _split_compound(word[len(known) :])
        ):
            return [known, *rest]
    return []


def _join_folders(names: Iterable[str]) -> str:
    return " and ".join(f"{name}/" for name in names)
