"""What holds of every division of any pictures."""

import collections
import random

import hypothesis
import sample_pictures
from hypothesis import strategies as st

from tf_finetune import errors
from tf_finetune.data import examples, splits, stratified_split
from tf_finetune.tasks.classification import labels as classes


@st.composite
def _pictures(draw, *, groups=True):
    """Draws pictures of some classes, with groups and equal contents."""
    count = draw(st.integers(2, 60))
    labels = st.sampled_from("abc")
    names = st.none() | st.integers(0, 9).map(str) if groups else st.none()
    content = st.integers(0, 25) if groups else st.none()
    found = []
    for number in range(count):
        same = draw(content)
        found.append(
            sample_pictures.make_picture(
                f"/p/{number}",
                label := draw(labels),
                f"{number + 100 if same is None else same:064x}",
                strata=(label,),
                group=draw(names),
            )
        )
    return found


def _assign(pictures, seed=0, limit=None, test=0.15):
    return splits.assign_splits(
        pictures,
        classes.LABELS,
        validation_fraction=0.15,
        test_fraction=test,
        max_train_per_class=limit,
        seed=seed,
    )


@hypothesis.given(
    pictures=_pictures(),
    seed=st.integers(0, 2**31),
    limit=st.none() | st.integers(1, 5),
    test=st.sampled_from([0.0, 0.15, 0.5, None]),
)
@hypothesis.settings(max_examples=100)
def test_every_picture_is_in_one_split_and_no_group_is_divided(
    pictures, seed, limit, test
):
    try:
        used, dropped = _assign(pictures, seed, limit, test)
    except errors.DataError as error:
        assert str(error)
        return
    paths = [p.path for p in used] + [d.path for d in dropped]
    assert sorted(paths) == sorted(p.path for p in pictures)
    sides = collections.defaultdict(set)
    for picture in used:
        assert picture.split in examples.SPLITS
        sides["content", picture.sha256].add(picture.split)
        if picture.group is not None:
            sides["group", picture.group].add(picture.split)
    assert all(len(side) == 1 for side in sides.values())
    learned = {p.label for p in used if p.split == "train"}
    assert learned == {p.label for p in pictures}


@hypothesis.given(
    pictures=_pictures(), seed=st.integers(0, 2**31), order=st.integers()
)
@hypothesis.settings(max_examples=100)
def test_the_order_of_listing_plays_no_part(pictures, seed, order):
    shuffled = random.Random(order).sample(pictures, len(pictures))
    found = []
    for each in (pictures, pictures, shuffled):
        try:
            used, _ = _assign(each, seed)
            found.append({p.path: p.split for p in used})
        except errors.DataError:
            found.append(None)
    assert found[0] == found[1] == found[2]


@hypothesis.given(
    pictures=_pictures(groups=False),
    seed=st.integers(0, 2**31),
    fraction=st.floats(0.01, 0.5),
)
@hypothesis.settings(max_examples=100)
def test_single_pictures_are_stratified_to_within_one(pictures, seed, fraction):
    counts = collections.Counter(p.label for p in pictures)
    hypothesis.assume(min(counts.values()) > 2)
    divided = stratified_split.divide_units(
        stratified_split.join_units(pictures),
        {"validation": fraction},
        seed=seed,
    )
    held = collections.Counter(
        p.label for unit in divided["validation"] for p in unit
    )
    for label, count in counts.items():
        assert held[label] >= 1
        assert abs(held[label] - fraction * count) <= 1
