"""AdaBN: batch-norm statistics of the user's pictures, then both stages.

Source: Li et al. 2016, "Revisiting Batch Normalization For Practical Domain
Adaptation".
"""

import dataclasses

from absl import logging

from tf_finetune.runs import candidates, run_cache, split_evaluation, train
from tf_finetune.runs.objectives import objective_protocol
from tf_finetune.semi_supervised import batch_norm_adaptation


def learn(
    given: objective_protocol.ObjectiveInputs,
) -> objective_protocol.ObjectiveResult | None:
    """Adapts batch-norm statistics, then solves the head and fine-tunes.

    Statistics are those of the training and the unlabeled pictures.

    Args:
        given: The run and its unlabeled pictures.

    Returns:
        The better of solved head and fine-tuned model on validation; None, with
        a warning, where the backbone has no batch norm.
    """
    context = given.context
    pictures = (*context.data.split("train"), *given.pool.pictures)
    images = split_evaluation.load_images(
        pictures, context.config, image_size=context.image_size
    )
    count = batch_norm_adaptation.adapt_batch_norms(
        context.assembly.backbone.model, images
    )
    # Networks with layer norm, for example.
    if not count:
        logging.warning("the backbone has no batch norm that could be adapted")
        return None
    # Other statistics give other features: another entry of the cache.
    cache = run_cache.RunCache(
        context.config, context.assembly, context.networks, given.exit_stack
    )
    adapted = dataclasses.replace(context, cache=cache)
    learned = train.run_stages(adapted)
    return objective_protocol.ObjectiveResult(
        candidate=candidates.select_candidate(adapted, learned),
        table=learned.table,
        facts={"layers": count, "pictures": len(pictures)},
        text=f"{count} batch norms adapted to {len(pictures)} pictures",
    )
