"""The plan of a run in words."""

import dataclasses
import types

import pytest

from tf_finetune.config import options
from tf_finetune.runs import run_plan


def _change(context, **changes):
    config = options.replace(context.config, **changes)
    return dataclasses.replace(context, config=config, requested_config=config)


def _line(context, begins):
    lines = run_plan.format_plan(context).splitlines()
    (found,) = [line for line in lines if line.startswith(begins)]
    return found


def test_the_plan_of_fine_tuning_names_settings_and_their_flags(sample_run):
    context = sample_run
    assert _line(context, "head:") == "head: linear, solved on features " + (
        "cached once"
    )
    assert "at most 2 epochs, 8 pictures a step" in _line(context, "fine_tune:")
    assert "from a solved head" in _line(context, "fine_tune:")
    assert "augmentation: none" in _line(context, "loss:")
    assert "cache: auto (--cache); " in _line(context, "cache:")
    assert "(freeze boundary at " in _line(context, "cache:")


def test_the_plan_says_how_updates_are_bounded(sample_run):
    context = _change(sample_run, clip_norm=2, l2_sp=0.1)
    assert _line(context, "optimizer:").endswith(
        "of the steps, gradients clipped to norm 2 (--clip_norm), decay to the "
        "start 0.1 (--l2_sp)"
    )
    assert "solved head (--head_start_strength=auto)" in (
        _line(context, "fine_tune:")
    )


def test_without_epochs_the_plan_ends_with_the_head(sample_run):
    text = run_plan.format_plan(_change(sample_run, epochs=0))
    assert text.endswith("; the backbone stays frozen")
    assert "fine_tune:" not in text


def test_a_random_head_is_said(sample_run):
    context = _change(sample_run, head_init="random")
    assert "from a random head" in _line(context, "fine_tune:")


def test_a_learning_rate_names_its_origin(sample_run):
    given = _change(sample_run, learning_rate=3e-4)
    assert "learning rate 0.0003 (given; --learning_rate)" in _line(
        given, "optimizer:"
    )
    usual = _change(sample_run, optimizer="adamw")
    assert "(the default of adamw; --learning_rate)" in _line(
        usual, "optimizer:"
    )


def test_a_batch_size_that_was_found_is_named_with_its_rate(sample_run):
    context = dataclasses.replace(
        _change(sample_run, optimizer="adamw"), largest_batch=64
    )
    assert "(--batch_size=auto; 64 fit into memory)" in _line(
        context, "fine_tune:"
    )
    assert "the default of adamw, " in _line(context, "optimizer:")
    assert " for 32 pictures, " in _line(context, "optimizer:")


def test_without_a_boundary_nothing_can_be_cached(sample_run):
    context = dataclasses.replace(
        sample_run, networks=types.SimpleNamespace(boundary=None)
    )
    assert _line(context, "cache:").endswith(
        "no part of the network can be cached"
    )


def test_unlabeled_pictures_are_a_line_of_their_own(sample_run):
    context = _change(
        sample_run, unlabeled_data="photos", objective="pseudo_label"
    )
    assert run_plan.format_plan(context).splitlines()[-1] == (
        "then again with --unlabeled_data=photos: pseudo_label (--objective); "
        "the better one is kept"
    )


@pytest.fixture
def moving_norm(make_context):
    """A context of which a batch norm is trained."""

    def build(**changes):
        return make_context(
            changes=changes,
            fine_tunes=True,
            adapted=types.SimpleNamespace(batch_norms=("norm",)),
        )

    return build


def test_statistics_of_single_pictures_are_warned_of(moving_norm, caplog):
    run_plan.warn_of_single_pictures(moving_norm(batch_size=1))
    assert "--batch_size=1 with --freeze_batch_norm=false, in 1 layer." in (
        caplog.text
    )


def test_two_pictures_a_step_are_not_warned_of(moving_norm, caplog):
    run_plan.warn_of_single_pictures(moving_norm(batch_size=2))
    assert not caplog.records


def test_single_pictures_are_no_matter_where_batch_norms_stay(
    moving_norm, caplog
):
    context = moving_norm(batch_size=1)
    context.adapted.batch_norms = ()
    run_plan.warn_of_single_pictures(context)
    assert not caplog.records
