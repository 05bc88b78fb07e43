"""Tests of tf_finetune/recommendation/time_budget.py."""

from tf_finetune.runs import time_budget


class _Clock:
    """A clock that is set by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_without_a_limit_everything_fits():
    budget = time_budget.TimeBudget(None)
    assert budget.allows("a year", 3e7)
    assert not budget.is_limited and not budget.skipped


def test_a_step_must_fit_into_the_time_that_is_left():
    clock = _Clock()
    budget = time_budget.TimeBudget(60, clock)
    assert budget.allows("half", 30)
    clock.now += 40
    assert budget.allows("a third", 20)
    assert not budget.allows("half", 30)
    clock.now += 40
    assert budget.allows("nothing", 0)
    assert [each.to_json() for each in budget.skipped] == [
        {"what": "half", "needs_seconds": 30}
    ]
