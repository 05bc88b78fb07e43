"""Training config of a candidate, and the command that trains it."""

import shlex
from typing import Any

from tf_finetune.config import options, recommend_config, train_config
from tf_finetune.preflight import config_completion
from tf_finetune.recommendation import candidates


def make_config(
    config: recommend_config.RecommendConfig, candidate: candidates.Candidate
) -> train_config.TrainConfig:
    """Makes the config of a training run of a candidate.

    Args:
        config: Options of recommend; those of data, image size, resizing, cache
            and seed are taken over.
        candidate: Backbone and weights of the run.

    Returns:
        A config with the defaults of training in all other options, the
        backbone in the graph of its weights.
    """
    found = options.from_keywords(
        train_config.TrainConfig, _collect_keywords(config, candidate)
    )
    return config_completion.choose_graph(found)


def format_command(
    config: recommend_config.RecommendConfig, candidate: candidates.Candidate
) -> str:
    """Formats the command line that trains a candidate.

    Args:
        config: Options of recommend, as for `make_config`.
        candidate: Backbone and weights of the run.

    Returns:
        `python -m tf_finetune.train …` with the options that differ from their
        defaults, quoted for a POSIX shell.
    """
    usual = options.collect_values(train_config.TrainConfig())
    given = _collect_keywords(config, candidate)
    # The backbone is named even where it is the default.
    flags = [
        options.to_flag(name, value)
        for name, value in given.items()
        if value != usual[name] or name == "backbone"
    ]
    words = ["python", "-m", "tf_finetune.train", *flags]
    return " ".join(map(shlex.quote, words))


def _collect_keywords(
    config: recommend_config.RecommendConfig, candidate: candidates.Candidate
) -> dict[str, Any]:
    # Splits and seed too: the run trains on the pictures compared here, and
    # finds their features in the cache.
    return {
        **options.collect_values(config.data),
        "backbone": candidate.backbone,
        "weights": candidate.weights,
        "image_size": config.image_size,
        "resize": config.resize,
        "cache_dir": config.cache_dir,
        "seed": config.seed,
    }
