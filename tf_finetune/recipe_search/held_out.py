"""Pictures that trials are judged on where validation is too small."""

import dataclasses

import numpy as np

from tf_finetune.data import examples

_SHARE = 0.2


def hold_out(data: examples.ImageData, seed: int) -> examples.ImageData:
    """Moves a fifth of the training pictures to the validation split.

    A trial then learns from the others and is judged on these together with
    the validation pictures. Every class gives a fifth of its pictures, whole
    groups stay together, and each class keeps a picture.

    Args:
        data: The pictures, in splits; left unchanged. Labels are class names.
        seed: Seed of the draw.

    Returns:
        New data with the same pictures in their order.
    """
    train = data.split("train")
    # The first picture of a group decides which class gives it.
    classes: dict[str, dict[str, int]] = {}
    class_of: dict[str, str] = {}
    for picture in train:
        key = _key(picture)
        label = class_of.setdefault(key, str(picture.label))
        counts = classes.setdefault(label, {})
        counts[key] = counts.get(key, 0) + 1
    generator, held = np.random.default_rng(seed), set()
    for label in sorted(classes):
        held |= _draw_keys(classes[label], generator)
    # A class whose pictures all lie in groups of other classes keeps them.
    for label in sorted({str(each.label) for each in train}):
        keys = {_key(each) for each in train if str(each.label) == label}
        if keys <= held:
            held -= keys
    moved = tuple(
        dataclasses.replace(each, split="validation")
        if each.split == "train" and _key(each) in held
        else each
        for each in data.pictures
    )
    return dataclasses.replace(data, pictures=moved)


def _key(picture: examples.Picture) -> str:
    return picture.group or picture.sha256


def _draw_keys(
    counts: dict[str, int], generator: np.random.Generator
) -> set[str]:
    """Draws keys until they hold a fifth of the pictures; one is left."""
    keys = sorted(counts)
    wanted = round(_SHARE * sum(counts.values()))
    drawn, held = 0, set()
    for place in generator.permutation(len(keys))[1:]:
        if drawn >= wanted:
            break
        held.add(keys[place])
        drawn += counts[keys[place]]
    return held
