"""Dividing units: what stays together, and how many go where."""

import collections
import dataclasses

import numpy as np
import pytest
import sample_pictures

from tf_finetune.data import stratified_split


def _picture(number, label="a", group=None, content=None):
    return sample_pictures.make_picture(
        f"/p/{number}.jpg",
        label,
        content or f"{number:064x}",
        strata=(label,),
        group=group,
    )


def _count(units):
    return collections.Counter(p.label for unit in units for p in unit)


def test_units_are_the_connected_components_of_group_and_content():
    pictures = [
        _picture(0, group="g"),
        _picture(1, group="g", content="x"),
        _picture(2, content="x"),
        _picture(3, group="h", content="x"),
        _picture(4, group="h"),
        _picture(5),
        _picture(6, group="i"),
    ]
    units = stratified_split.join_units(pictures)
    names = {frozenset(p.path[3] for p in unit) for unit in units}
    assert names == {frozenset("01234"), frozenset("5"), frozenset("6")}


def test_single_pictures_are_divided_exactly_by_targets():
    counts = {"a": 100, "b": 60, "c": 7}
    pictures = [
        _picture(number * 1000 + k, label)
        for number, (label, n) in enumerate(counts.items())
        for k in range(n)
    ]
    units = stratified_split.join_units(pictures)
    divided = stratified_split.divide_units(
        units, {"validation": 0.15, "test": 0.1}, seed=3
    )
    # 15 % of 167 is 25: 15, 9 and 1.05; 10 % is 17: 10, 6 and 0.7 -> 1.
    assert _count(divided["validation"]) == {"a": 15, "b": 9, "c": 1}
    assert _count(divided["test"]) == {"a": 10, "b": 6, "c": 1}
    assert _count(divided["train"]) == {"a": 75, "b": 45, "c": 5}


def test_rounding_keeps_the_share_of_all_pictures():
    pictures = [
        _picture(c * 100 + k, f"{c:02}") for c in range(20) for k in range(10)
    ]
    targets = stratified_split.compute_quotas(
        stratified_split.join_units(pictures), {"validation": 0.15}
    )
    # Not 2 of each class (20 %): 30 in all, each class 1 or 2.
    assert sum(targets["validation"].values()) == 30
    assert set(targets["validation"].values()) == {1, 2}


@pytest.mark.parametrize("seed", range(5))
def test_three_groups_of_a_class_reach_three_splits(seed):
    pictures = [
        _picture(100 * c + k, label, group=f"{label}{k % 3}")
        for c, label in enumerate("ab")
        for k in range(15)
    ]
    units = stratified_split.join_units(pictures)
    divided = stratified_split.divide_units(
        units, {"validation": 0.15, "test": 0.15}, seed=seed
    )
    for split in ("train", "validation", "test"):
        assert _count(divided[split]) == {"a": 5, "b": 5}


def test_large_groups_stay_in_train_where_small_ones_fill_the_rest():
    pictures = [_picture(k, group="large") for k in range(80)]
    pictures += [_picture(100 + k) for k in range(20)]
    units = stratified_split.join_units(pictures)
    divided = stratified_split.divide_units(units, {"validation": 0.15}, seed=0)
    assert 80 in map(len, divided["train"])
    assert _count(divided["validation"]) == {"a": 15}


def test_another_seed_divides_otherwise():
    units = stratified_split.join_units([_picture(k) for k in range(50)])
    first, same, other = (
        set(
            stratified_split.divide_units(units, {"validation": 0.2}, seed=s)[
                "validation"
            ]
        )
        for s in (0, 0, 1)
    )
    assert first == same
    assert first != other


def test_order_and_place_of_the_files_play_no_part():
    pictures = [_picture(k, "ab"[k % 2], group=f"{k % 17}") for k in range(50)]
    moved = [
        dataclasses.replace(p, path=f"/elsewhere/{100 - k}")
        for k, p in enumerate(pictures)
    ][::-1]
    splits = []
    for each in (pictures, moved):
        divided = stratified_split.divide_units(
            stratified_split.join_units(each), {"validation": 0.2}, seed=0
        )
        splits.append(
            {p.sha256 for unit in divided["validation"] for p in unit}
        )
    assert splits[0] == splits[1]


def test_further_pictures_leave_the_order_of_the_others():
    few = stratified_split.join_units([_picture(k) for k in range(20)])
    many = stratified_split.join_units([_picture(k) for k in range(40)])
    order = stratified_split.shuffle_units(few, seed=0, purpose="split")
    longer = stratified_split.shuffle_units(many, seed=0, purpose="split")
    assert order == [unit for unit in longer if unit in few]
    assert order != few


def test_every_class_is_to_be_held_out_at_least_once():
    pictures = [
        _picture(c * 100 + k, f"{c:02}") for c in range(20) for k in range(3)
    ]
    targets = stratified_split.compute_quotas(
        stratified_split.join_units(pictures), {"validation": 0.01}
    )
    assert targets["validation"] == {f"{c:02}": 1 for c in range(20)}
    assert targets["train"] == {f"{c:02}": 2 for c in range(20)}


def test_one_key_a_unit_is_divided_exactly():
    counts = np.repeat(np.eye(3), [100, 60, 20], axis=0)
    parts = stratified_split.assign_parts(counts, [0.8, 0.15, 0.05])
    shares = [counts[parts == part].sum(axis=0).tolist() for part in range(3)]
    assert shares == [[80, 48, 16], [15, 9, 3], [5, 3, 1]]


def _drawn(seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    often = np.array([0.5, 0.3, 0.2, 0.05, 0.02])
    common = generator.uniform(size=[400, 1]) < 0.4
    return (generator.uniform(size=[400, 5]) < often * (0.5 + common)) * 1.0


@pytest.mark.parametrize("seed", range(3))
def test_every_key_reaches_every_part_in_its_share(seed):
    counts, shares = _drawn(seed), np.array([0.7, 0.15, 0.15])
    parts = stratified_split.assign_parts(counts, shares)
    for part, share in enumerate(shares):
        expected = share * counts.sum(axis=0)
        got = counts[parts == part].sum(axis=0)
        assert np.abs(got - expected).max() < 2
        assert abs(np.sum(parts == part) - share * 400) < 2


def test_a_random_division_is_worse():
    counts, shares = _drawn(0), np.array([0.7, 0.15, 0.15])
    goal = np.outer(shares, counts.sum(axis=0))

    def off(parts: np.ndarray) -> float:
        got = [counts[parts == part].sum(axis=0) for part in range(3)]
        return float(np.mean(np.abs(np.stack(got) - goal)))

    random = [
        off(np.random.default_rng(seed).choice(3, 400, p=shares))
        for seed in range(20)
    ]
    assert off(stratified_split.assign_parts(counts, shares)) < min(random) / 2


def test_units_without_a_key_fill_the_parts():
    parts = stratified_split.assign_parts(np.zeros([10, 2]), [0.7, 0.3])
    assert np.bincount(parts).tolist() == [7, 3]


def test_large_units_count_as_much_as_they_hold():
    counts = np.array([[8.0], [1.0], [1.0], [1.0], [1.0]])
    parts = stratified_split.assign_parts(counts, [0.7, 0.3])
    assert parts.tolist() == [0, 1, 1, 1, 1]
