"""Maps names of other packages' settings to flags of this package.

Keras, fastai, Ultralytics, timm, the reference scripts of torchvision, the
Trainer of Hugging Face and Lightning call one thing by many names.
"""

import difflib
from collections.abc import Collection

from tf_finetune.synonyms import (
    input_synonyms,
    output_synonyms,
    training_synonyms,
    value_synonyms,
)

SYNONYMS = (
    *input_synonyms.DATA,
    *input_synonyms.MODEL,
    *training_synonyms.TRAINING,
    *output_synonyms.OUTPUTS,
)


def find_synonym(
    name: str, known: Collection[str]
) -> value_synonyms.Synonym | None:
    """Returns the flag here for another package's setting; None: unknown.

    Args:
        name: The setting, with any dashes, capitals and underscores.
        known: Flags of the command; of several meanings, one of these is
            preferred.
    """
    asked = value_synonyms.normalize_name(name)
    # no_augment and use_amp are settings of augment and of amp.
    for each in (asked, asked.removeprefix("no"), asked.removeprefix("use")):
        found = [m for m in SYNONYMS if each in m.names]
        here = [m for m in found if m.flag in known]
        if found:
            return (here or found)[0]
    return None


def find_misspelled(
    name: str, known: Collection[str], *, nearer_than: float = 0.0
) -> value_synonyms.Synonym | None:
    """Returns the flag here for a misspelled setting of another package.

    Args:
        name: The misspelled setting, without dashes.
        known: Flags of the command, without dashes; where a setting stands for
            several flags, one of these is preferred.
        nearer_than: Similarity of `name` to the most similar of our own flags,
            0..1 as `difflib.SequenceMatcher.ratio`; the setting must be more
            similar to `name` than that.

    Returns:
        The flag with advice; None if no setting has a similar name.
    """
    # Of short names every other one would be near.
    names = {each for m in SYNONYMS for each in m.names if len(each) > 3}
    asked = value_synonyms.normalize_name(name)
    found = difflib.get_close_matches(asked, sorted(names), n=1, cutoff=0.85)
    if not found:
        return None
    ratio = difflib.SequenceMatcher(None, found[0], asked).ratio()
    return find_synonym(found[0], known) if ratio > nearer_than else None
