"""Decisions about the cache, on contexts without a network."""

import types

import numpy as np
import pytest

from tf_finetune import errors
from tf_finetune.config import options, train_config
from tf_finetune.runs import boundary_activations, cache_choice


class _Store:
    row_bytes = 8

    def __init__(self, missing):
        self._missing = missing

    def missing(self, names):
        return [*names][: self._missing]


class _Cache:
    """A cache that lacks some rows and has room for some bytes."""

    def __init__(self, *, missing=0, room=10**9):
        self._store, self._room = _Store(missing), room
        self.features = self._store

    def open_activations(self, dtype):
        return self._store

    def list_views(self, number, pictures):
        return [types.SimpleNamespace(name=each.sha256) for each in pictures]

    def make_room(self, needed):
        return needed <= self._room


_BOUNDARY = types.SimpleNamespace(names=("conv5",))


@pytest.fixture
def context(make_context):
    def build(*, boundary=_BOUNDARY, missing=0, room=10**9, **changes):
        return make_context(
            changes=changes,
            fine_tunes=True,
            networks=types.SimpleNamespace(boundary=boundary),
            cache=_Cache(missing=missing, room=room),
        )

    return build


def _recorded(context):
    return boundary_activations.load_choices(context.shared)


def test_an_empty_queue_of_pictures_turns_the_cache_on(context):
    found = context()
    assert cache_choice.choose_input(found).reads_cache
    assert _recorded(found) == {"cache": "on"}


def test_a_choice_is_made_once(context, monkeypatch):
    found = context(missing=6)
    boundary_activations.record_choice(found.shared, "cache", "on")

    def measure(context):
        raise AssertionError("it was measured again")

    monkeypatch.setattr(cache_choice, "_choose_faster", measure)
    assert cache_choice.choose_input(found).reads_cache


@pytest.mark.parametrize("faster", [True, False])
def test_left_to_itself_the_faster_one_is_taken(context, monkeypatch, faster):
    chosen = cache_choice.CacheChoice(reads_cache=faster)
    monkeypatch.setattr(cache_choice, "_choose_faster", lambda each: chosen)
    found = context(missing=6)
    assert cache_choice.choose_input(found) is chosen
    assert _recorded(found) == {"cache": "on" if faster else "off"}


def test_off_needs_no_choice(context):
    found = context(cache="off")
    assert not cache_choice.choose_input(found).reads_cache
    assert _recorded(found) == {}


def test_a_head_alone_reads_its_features_only(make_context):
    found = make_context(changes={"cache": "on"}, fine_tunes=False)
    assert not cache_choice.choose_input(found).reads_cache


_OBSTACLES = [
    ({"augmentation": "strong"}, "--augmentation=strong mixes pictures"),
    ({"boundary": None}, "below the first trainable layer"),
    ({"missing": 6, "room": 47}, "do not fit into --cache_gb="),
]


@pytest.mark.parametrize(("given", "why"), _OBSTACLES)
def test_an_obstacle_turns_the_cache_off(context, given, why, caplog):
    caplog.set_level("INFO")
    found = context(**given)
    assert not cache_choice.choose_input(found).reads_cache
    assert why in caplog.text
    assert _recorded(found) == {"cache": "off"}


@pytest.mark.parametrize(("given", "why"), _OBSTACLES)
def test_an_obstacle_is_an_error_where_the_cache_was_asked_for(
    context, given, why
):
    with pytest.raises(errors.UsageError, match="--cache=on is not") as raised:
        cache_choice.choose_input(context(cache="on", **given))
    assert why in str(raised.value)


def test_bytes_are_counted_of_missing_rows_of_every_view(context):
    # Two views: 5 rows unaugmented, 4 of one augmented view, 8 bytes each.
    found = context(
        missing=5, augmentation="light", augmentation_views=2, epochs=2
    )
    assert boundary_activations.count_missing_bytes(found) == 5 * 8 + 4 * 8


@pytest.mark.parametrize(("epochs", "expected"), [(3, False), (4, True)])
def test_with_other_workers_nothing_is_timed(
    context, monkeypatch, epochs, expected
):
    monkeypatch.setattr(
        cache_choice.replicas, "find_worker", lambda strategy: (0, 2)
    )
    found = context(
        missing=6, epochs=epochs, augmentation="light", augmentation_views=4
    )
    assert cache_choice.choose_input(found).reads_cache == expected


def test_a_timed_step_leaves_the_weights(fresh_run):
    before = fresh_run.assembly.trainer.get_weights()
    costs, trainer = cache_choice._measure_costs(fresh_run)
    assert trainer is fresh_run.networks.boundary.suffix
    assert min(costs.load, costs.frozen, costs.step) > 0
    for a, b in zip(
        before, fresh_run.assembly.trainer.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(a, b)


_CUT = types.SimpleNamespace(boundary="somewhere")


@pytest.mark.parametrize(("changes", "keeps"), [
    ({}, True),
    ({"cache": "off"}, False),
    ({"augmentation": "strong"}, False),
    ({"epochs": 3}, False),
    ({"epochs": 4}, True),
    ({"epochs": 3, "cache": "on"}, True),
    ({"epochs": 1, "augmentation": "none"}, True),
    ({"epochs": 1, "augmentation_views": 2}, False),
])  # fmt: skip
def test_what_crosses_the_cut_is_kept_where_it_is_likely_to_be_read(
    changes, keeps
):
    config = options.from_keywords(
        train_config.TrainConfig, {"data": "x", **changes}
    )
    assert cache_choice.will_read_activations(config, _CUT) == keeps


def test_without_a_cut_nothing_crosses_it():
    config = options.from_keywords(
        train_config.TrainConfig, {"data": "x", "cache": "on"}
    )
    networks = types.SimpleNamespace(boundary=None)
    assert not cache_choice.will_read_activations(config, networks)
