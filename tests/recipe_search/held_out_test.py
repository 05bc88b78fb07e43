"""Tests of tf_finetune/recipe_search/held_out.py."""

from tf_finetune.data import examples
from tf_finetune.recipe_search import held_out


def _make_data(labels, groups=None):
    pictures = [
        examples.Picture(
            path=f"{number}.png",
            label=label,
            sha256=f"{number}",
            width=8,
            height=8,
            split="train",
            group=groups[number] if groups else None,
        )
        for number, label in enumerate(labels)
    ]
    other = examples.Picture(
        path="v.png", label="a", sha256="v", width=8, height=8,
        split="validation",
    )  # fmt: skip
    return examples.ImageData(
        class_names=("a", "b"),
        pictures=(*pictures, other),
        dropped=(),
        fingerprint="data",
    )


def test_each_class_gives_a_fifth_of_its_pictures():
    data = _make_data("a" * 20 + "b" * 10)
    found = held_out.hold_out(data, seed=0)
    moved = [each.label for each in found.split("validation")]
    assert sorted(moved) == ["a"] * 5 + ["b"] * 2
    assert [e.path for e in found.pictures] == [e.path for e in data.pictures]
    assert found == held_out.hold_out(data, seed=0)


def test_groups_stay_together_and_a_class_keeps_a_picture():
    groups = [f"g{number // 4}" for number in range(20)] + ["alone"]
    data = _make_data("a" * 20 + "b", groups)
    found = held_out.hold_out(data, seed=0)
    splits = {}
    for each in found.pictures:
        if each.group:
            splits.setdefault(each.group, set()).add(each.split)
    assert all(len(found) == 1 for found in splits.values())
    assert splits["alone"] == {"train"}
    assert len(found.split("train")) == 17


def test_a_class_in_the_groups_of_another_class_keeps_a_picture():
    # Each picture of b is in a group whose first picture is of class a.
    labels, groups = "ab" * 5 + "a" * 20, [f"g{n // 2}" for n in range(10)]
    data = _make_data(labels, [*groups, *[None] * 20])
    for seed in range(20):
        found = held_out.hold_out(data, seed=seed)
        assert {each.label for each in found.split("train")} == {"a", "b"}
