"""Tests of the inputs of a model by name."""

import pytest

from tf_finetune.config import data_options
from tf_finetune.inputs import input_protocol


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, []),
        ({"image_column": ("front", "back")}, ["images"]),
        (
            {"numeric_columns": ("age",), "categorical_columns": ("city",)},
            ["images", "numbers", "words"],
        ),
    ],
)
def test_a_run_has_the_inputs_whose_columns_are_named(given, expected):
    options = data_options.DataOptions(data="table.csv", **given)
    found = input_protocol.list_inputs(options)
    assert [each.name for each in found] == expected
