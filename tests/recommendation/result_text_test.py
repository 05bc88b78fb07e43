"""Tests of the table, the sentence and the Pareto front of a ranking."""

import pytest

from tf_finetune.recommendation import (
    candidates,
    feature_scores,
    network_costs,
    pareto_front,
    ranking,
    result_text,
)


def _row(
    name: str, accuracy: float | None, milliseconds: float | None, **changes
) -> ranking.Row:
    probe = accuracy and feature_scores.ProbeFigures(
        accuracy=accuracy,
        accuracy_interval=(accuracy - 0.1, accuracy + 0.1),
        log_loss=1 - accuracy,
        strength=1.0,
    )
    scores = feature_scores.FeatureScores(
        pictures_per_class=20,
        pictures=100,
        logme=accuracy or 0.0,
        knn=0.5,
        probe=probe,
        score_seconds=0.0,
        probe_seconds=0.0,
    )
    return ranking.Row(
        candidate=candidates.Candidate(
            backbone=name,
            weights="imagenet",
            label=name,
            image_size=224,
            published=None,
        ),
        size=network_costs.NetworkSize(
            parameters=250_000, multiply_adds=1, width=8
        ),
        latency=milliseconds
        and network_costs.NetworkLatency(
            batch_1=milliseconds, batch_32=32.0, memory_megabytes=60.0
        ),
        rungs=(scores,),
        **changes,
    )


def test_the_front_has_every_network_that_none_beats_in_both():
    rows = [
        _row("best", 0.9, 20.0),
        _row("dominated", 0.85, 25.0),
        _row("fast", 0.8, 5.0),
        _row("as good and slower", 0.8, 6.0),
        _row("without a probe", None, 1.0),
        _row("without a latency", 0.99, None),
    ]
    found = pareto_front.find_front(rows)
    assert found == [True, False, True, False, False, False]


def test_the_sentence_compares_with_the_fastest_of_the_front():
    rows = [_row("large", 0.9, 16.0), _row("slow", 0.85, 99.0)]
    rows += [_row("middle", 0.88, 10.0), _row("small", 0.879, 8.0)]
    # A standard error of 0.03: sqrt(0.9 * 0.1 / 100).
    assert result_text.format_sentence(rows) == (
        "large is 2.1 points better than small at 2.0 times the latency "
        "(probe; its standard error is 3.0 points)."
    )


@pytest.mark.parametrize(
    ("accuracy", "words"),
    [(0.9, "as good as other at 0.5"), (0.95, "5.0 points worse than other")],
)
def test_the_sentence_says_where_the_pick_is_not_better(accuracy, words):
    rows = [_row("pick", 0.9, 8.0), _row("other", accuracy, 16.0)]
    assert words in result_text.format_sentence(rows)


def test_one_candidate_is_compared_with_none():
    rows = [_row("alone", 0.9, 8.0)]
    assert "only candidate" in result_text.format_sentence(rows)


def test_the_table_stars_the_front_and_says_where_others_were_left_out():
    rows = [
        _row("large", 0.9, 16.0),
        _row("slow", 0.85, 99.0, dropped_at="20 pictures a class"),
    ]
    head, first, second = result_text.format_table(rows).splitlines()
    assert head.split()[:3] == ["backbone", "top-1", "MB"]
    assert first.startswith("* large")
    assert " 1.0 " in first and " 16.0 " in first and " 0.900 " in first
    assert second.startswith("  slow")
    assert second.endswith("20 pictures a class")


def test_rows_are_sorted_by_their_mean_rank():
    rows = [_row("b", 0.8, 1.0), _row("a", 0.9, 1.0), _row("c", 0.7, 1.0)]
    found = ranking.sort_rows(rows)
    assert [row.candidate.label for row in found] == ["a", "b", "c"]
