"""Feature extraction of a run: the head's inputs of every picture, cached."""

import dataclasses
from collections.abc import Mapping

from tf_finetune.feature_cache import store as stores
from tf_finetune.runs import boundary_activations, cache_choice, run_cache
from tf_finetune.runs import context as contexts


@dataclasses.dataclass(frozen=True, kw_only=True)
class Features:
    """Cached features of the unaugmented pictures.

    Attributes:
        rows: By split, the head's inputs, one row a picture.
        choice: Whether fine-tuning reads activations at the freeze boundary,
            which are cached as well; else it reads pictures.
    """

    rows: Mapping[str, stores.Rows]
    choice: cache_choice.CacheChoice


def extract_features(context: contexts.RunContext) -> Features:
    """Computes the features that the cache lacks.

    Decides first if fine-tuning reads the cache: then one pass gives the
    activations at the freeze boundary, too.
    """
    cache = context.cache
    # The chief has filled it since this worker opened it.
    if not context.is_chief:
        cache.refresh()
    choice = cache_choice.choose_input(context)
    cache.fill_features(context.data.pictures, with_rows=choice.reads_cache)
    return Features(
        rows=run_cache.split_rows(cache.features, context.data),
        choice=choice,
    )


def extract_activations(
    context: contexts.RunContext, features: Features
) -> boundary_activations.BoundaryActivations | None:
    """Computes the activations that fine-tuning reads.

    Only after the head is fitted: the precision of augmented views is chosen
    by the figures of its predictions.

    Returns:
        Activations of every view; None where fine-tuning reads pictures.
    """
    if not features.choice.reads_cache:
        return None
    return boundary_activations.compute_activations(context)
