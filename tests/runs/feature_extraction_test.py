"""Features of a run, compared with its network called by hand."""

import dataclasses
import types

import numpy as np

from tf_finetune.config import options
from tf_finetune.runs import (
    cache_choice,
    feature_extraction,
    split_evaluation,
)


def _change(context, **changes):
    return dataclasses.replace(
        context, config=options.replace(context.config, **changes)
    )


def _extract(context, split):
    images = split_evaluation.load_images(
        context.data.split(split), context.config, image_size=32
    )
    extractor = context.assembly.extractor
    return np.concatenate(
        [np.asarray(extractor(batch, training=False)) for batch in images]
    )


def test_rows_are_the_features_of_the_pictures_in_their_order(fresh_run):
    context = _change(fresh_run, cache="off")
    features = feature_extraction.extract_features(context)
    assert [*features.rows] == ["train", "validation", "test"]
    for split, rows in features.rows.items():
        np.testing.assert_allclose(
            rows.all(), _extract(context, split), rtol=1e-4, atol=1e-5
        )


def test_without_the_cache_there_are_no_activations(fresh_run):
    context = _change(fresh_run, cache="off")
    features = feature_extraction.extract_features(context)
    assert not features.choice.reads_cache
    assert feature_extraction.extract_activations(context, features) is None


def test_activations_lead_to_the_logits_of_the_model(fresh_run):
    context = _change(fresh_run, cache="on")
    features = feature_extraction.extract_features(context)
    found = feature_extraction.extract_activations(context, features)
    logits = np.concatenate([*found.stream_logits(context, "validation")])
    images = split_evaluation.load_images(
        context.data.split("validation"), context.config, image_size=32
    )
    expected = np.concatenate(
        [
            np.asarray(context.assembly.trainer(each, training=False))
            for each in images
        ]
    )
    np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-4)
    # Pictures are not augmented: one view of each.
    assert len(found.views) == len(context.data.split("train"))


class _Cache:
    def __init__(self):
        self.calls = []
        self.features = types.SimpleNamespace(rows=lambda names: names)

    def refresh(self):
        self.calls.append("refresh")

    def fill_features(self, pictures, *, with_rows):
        self.calls.append(("fill", len(pictures), with_rows))


def _worker(make_context, monkeypatch, *, is_chief, reads_cache):
    choice = cache_choice.CacheChoice(reads_cache=reads_cache)
    monkeypatch.setattr(cache_choice, "choose_input", lambda context: choice)
    context = make_context(is_chief=is_chief, cache=_Cache())
    return context, feature_extraction.extract_features(context)


def test_other_workers_open_the_cache_again(make_context, monkeypatch):
    context, _ = _worker(
        make_context, monkeypatch, is_chief=False, reads_cache=False
    )
    assert context.cache.calls == ["refresh", ("fill", 6, False)]


def test_the_chief_computes_activations_in_the_same_pass(
    make_context, monkeypatch
):
    context, features = _worker(
        make_context, monkeypatch, is_chief=True, reads_cache=True
    )
    assert context.cache.calls == [("fill", 6, True)]
    assert features.rows["validation"] == [
        picture.sha256 for picture in context.data.split("validation")
    ]
