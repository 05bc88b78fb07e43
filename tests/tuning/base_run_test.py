"""The base run of a study: what is refused, and what is left out."""

import pytest

from tf_finetune import errors
from tf_finetune.config import options, tune_config
from tf_finetune.tuning import base_run, engine


def _config(keywords, **changes):
    return options.from_keywords(
        tune_config.TuneConfig, {**keywords, **changes}
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"workdir": "a"}, "--workdir is for a single run"),
        ({"fail_below": "accuracy:0.9"}, "compared with each other"),
        ({"withhold_test": True}, "never see the test pictures"),
        ({"strategy": "multi_worker", "batch_size": 8}, "on each machine"),
        ({"metric": "acuracy"}, "Did you mean 'accuracy'"),
        ({"epochs": 0, "learning_rate": None, "trainable": "top",
          "search": "learning_rate:1..2"}, "varies --learning_rate, which no"),
        ({"backbone": "resnt50"}, "Did you mean"),
        ({"data": ""}, "--data is needed"),
    ],
)  # fmt: skip
def test_an_impossible_base_is_refused(keywords, changes, said, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", "")
    with pytest.raises((errors.UsageError, errors.DataError)) as caught:
        config = _config(keywords, **changes)
        base_run.choose_search(config, base_run.check_base(config))
    assert said in str(caught.value)


def test_trials_choose_no_settings_themselves(keywords):
    config = _config(keywords)
    assert base_run.check_base(config).recipe.recipe == "none"
    with pytest.raises(errors.UsageError, match="tries the settings itself"):
        base_run.complete_config(config, {"recipe"})


@pytest.mark.parametrize(
    ("changes", "searched"),
    [
        ({}, "learning_rate epochs trainable layer_decay augmentation "
         "batch_size"),
        ({"adaptation": "lora"},
         "learning_rate epochs trainable augmentation batch_size"),
        ({"stages": "top:2"},
         "learning_rate layer_decay augmentation batch_size"),
        ({"stages": "top:2@1e-3"}, "layer_decay augmentation batch_size"),
    ],
)  # fmt: skip
def test_the_default_space_fits_the_base_run(keywords, changes, searched):
    for name in ("search", "trainable", "epochs", "learning_rate"):
        del keywords[name]
    config = _config(keywords, **changes)
    chosen = base_run.choose_search(config, base_run.check_base(config))
    assert [each.option for each in chosen.dimensions] == searched.split()


def test_flags_of_a_single_run_in_a_flagfile_are_left_out(keywords):
    config = _config(keywords, workdir="runs/a", fail_below="accuracy:0.9")
    left = base_run.complete_config(config, {"study"})
    assert left.run.output.workdir == ""
    assert left.run.output.fail_below == ()
    with pytest.raises(errors.UsageError, match="Leave it out"):
        base_run.complete_config(config, {"study", "workdir"})


def test_options_that_a_draw_leaves_idle_are_dropped(keywords):
    base = base_run.check_base(_config(keywords, augmentation_views=2))
    made = base_run.make_config(base, {"augmentation": "none"})
    assert made.training.augmentation_views == 4
    assert base.output.withhold_test and made.output.withhold_test
    head = base_run.make_config(base, {"trainable": ("head",)})
    assert head.training.learning_rate is None


def test_without_its_engine_tune_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(engine.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(errors.UsageError, match=r"pip install 'tf_fin.*tune\]"):
        engine.require_engine()
