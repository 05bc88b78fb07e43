"""Tests of tf_finetune/runs/picture_scan.py; the scan itself: end_to_end/."""

import types

import pytest

from tf_finetune.config import options, train_config
from tf_finetune.runs import picture_scan

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
    assert picture_scan.will_read_activations(config, _CUT) == keeps


def test_without_a_cut_nothing_crosses_it():
    config = options.from_keywords(
        train_config.TrainConfig, {"data": "x", "cache": "on"}
    )
    networks = types.SimpleNamespace(boundary=None)
    assert not picture_scan.will_read_activations(config, networks)
