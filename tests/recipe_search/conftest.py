"""Facts and trials of a recipe, made by hand."""

import pytest

from tf_finetune.config import options, train_config
from tf_finetune.recipe_search import candidates, facts


@pytest.fixture
def make_facts():
    """Builds facts of 600 pictures of two classes; keywords change them.

    `options_given` are options of the run by name, which count as given.
    """

    def build(options_given=None, **changes):
        config = options.from_keywords(
            train_config.TrainConfig, {"data": "d", **(options_given or {})}
        )
        found = {
            "training_pictures": 600,
            "validation_pictures": 150,
            "classes": 2,
            "fewest_per_class": 100,
            "median_per_class": 300.0,
            "most_per_class": 500,
            "groups": 0,
            "short_side": 300.0,
            "short_side_low": 200.0,
            "device": "cpu",
            "backbone": "mobilenet_v2",
            "settings": options.collect_values(config),
            "given": frozenset(options_given or {}),
            "can_compare": True,
        }
        return facts.Facts(**{**found, **changes})

    return build


@pytest.fixture
def make_trial():
    """Builds the trial of settings with a log loss; keywords change it."""

    def build(
        log_loss,
        rate=1e-3,
        trainable="top",
        decay="auto",
        cache="on",
        **changes,
    ):
        figures = {
            "accuracy": 0.9,
            "start_log_loss": 1.0,
            "interpolate": 1.0,
            "uninterpolated": log_loss,
            # Those of a diverged trial are not there.
            "block_losses": (log_loss, log_loss) if log_loss > 0 else (),
            "seconds": 2.0,
        }
        return candidates.Trial(
            candidate=candidates.Candidate(
                trainable=(trainable,), layer_decay=decay, learning_rate=rate
            ),
            log_loss=log_loss,
            cache=cache,
            **{**figures, **changes},
        )

    return build
