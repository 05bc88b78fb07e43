"""Tests of tf_finetune/registry.py."""

import doctest
import math

import pytest

from tf_finetune import errors, registry


def _parts() -> registry.Registry:
    return registry.Registry("part", {"tau": "math:tau", "missing": "math:tua"})


def test_a_name_is_resolved_to_what_it_stands_for():
    assert _parts().get("tau") == math.tau


def test_a_module_and_attribute_is_accepted_wherever_a_name_is():
    assert _parts().get("math:pi") == math.pi


def test_a_typo_is_answered_with_the_nearest_name():
    with pytest.raises(errors.UsageError, match="Did you mean 'tau'"):
        _parts().get("tua")


def test_a_missing_attribute_is_answered_with_the_nearest_one():
    with pytest.raises(errors.UsageError, match="Did you mean 'tau'"):
        _parts().get("missing")


def test_a_missing_module_is_said_to_be_missing():
    with pytest.raises(errors.UsageError, match="No module 'no_such_module'"):
        _parts().get("no_such_module:part")


def test_a_part_of_the_users_own_is_found_and_a_taken_name_refused():
    parts = _parts()
    parts.add("mine", 7)
    assert parts.get("mine") == 7
    with pytest.raises(errors.UsageError, match="'tau' exists already"):
        parts.add("tau", 6.28)


def test_the_example_in_the_docstring_runs():
    found = doctest.testmod(registry)
    assert found.attempted and not found.failed
