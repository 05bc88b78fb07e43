"""The prepared run: data, devices and the parts of its model."""

import dataclasses

import numpy as np
import pytest

from tf_finetune import files
from tf_finetune.runs import context as contexts
from tf_finetune.runs import run_preparation
from tf_finetune.training import optimizers


def test_pictures_are_divided_and_decoded_as_the_config_says(sample_run):
    data, config = sample_run.data, sample_run.config
    assert data.splits == ("train", "validation", "test")
    assert len(data.pictures) == 30
    assert data.class_names == ("bright", "dark")
    assert (data.resize, data.pixels) == (
        config.model.resize,
        config.model.pixels,
    )


def test_features_of_every_picture_are_computed_in_the_scan(sample_run):
    names = [picture.sha256 for picture in sample_run.data.pictures]
    assert not sample_run.cache.features.missing(names)


def test_the_network_is_split_below_the_first_layer_that_trains(sample_run):
    below = {
        layer.name
        for layer in sample_run.networks.boundary.build_prefix().layers
    }
    assert below.isdisjoint(sample_run.adapted.trained)
    assert sample_run.fine_tunes
    assert sample_run.is_chief
    assert sample_run.shared is sample_run.place


def test_what_was_asked_for_stays_beside_what_was_found(sample_run):
    config, data = sample_run.config, sample_run.data
    found = run_preparation._set_batch_size(config, data, 4)
    assert found.training.batch_size == 4
    assert run_preparation._set_batch_size(config, data, None) is config


def test_the_rate_follows_a_batch_size_that_was_found(sample_run, make_config):
    config = make_config(batch_size="auto", optimizer="sgd")
    found = run_preparation._set_batch_size(config, sample_run.data, 8)
    usual = optimizers.choose_learning_rate(config.training)
    # Goyal et al. 2017, section 2.1: the rate grows with the batch size.
    expected = usual * 8 / optimizers.REFERENCE_BATCH_SIZE
    assert optimizers.choose_learning_rate(found.training) == pytest.approx(
        expected
    )


@pytest.mark.parametrize(
    ("changes", "trained", "expected"),
    [
        ({}, {"conv5": ()}, True),
        ({}, {}, False),
        ({"head_init": "random"}, {}, True),
        ({"epochs": 0}, {"conv5": ()}, False),
        ({"epochs": 0, "head_init": "random"}, {}, False),
    ],
)
def test_fine_tuning_needs_epochs_and_something_that_moves(
    make_config, sample_run, changes, trained, expected
):
    adapted = dataclasses.replace(sample_run.adapted, trained=trained)
    found = contexts.fine_tunes(make_config(**changes), adapted)
    assert found is expected


def test_labels_are_described_as_in_data_json(sample_run):
    counts = sample_run.label_description["classes"]["train"]
    labels = [each.label for each in sample_run.data.split("train")]
    assert counts == {name: labels.count(name) for name in ("bright", "dark")}


def test_targets_are_rows_with_a_one_for_the_class(sample_run):
    targets = sample_run.targets("validation")
    pictures = sample_run.data.split("validation")
    expected = [
        [each.label == name for name in sample_run.data.class_names]
        for each in pictures
    ]
    np.testing.assert_array_equal(targets.values, np.float32(expected))


def test_pictures_are_known_by_their_content(sample_run):
    picture = sample_run.data.pictures[0]
    assert picture.sha256 == files.sha256(picture.path)
