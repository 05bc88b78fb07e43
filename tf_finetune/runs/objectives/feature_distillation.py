"""Fine-tuning that keeps the features of unlabeled pictures unchanged.

The teacher is the network before it is trained, whose features lie in the
cache.
"""

import keras

from tf_finetune.data.augment import weak_strong_views
from tf_finetune.feature_cache import batches
from tf_finetune.runs.objectives import grouped_training, objective_protocol
from tf_finetune.semi_supervised import group_model


def learn(
    given: objective_protocol.ObjectiveInputs,
) -> objective_protocol.ObjectiveResult:
    """Fine-tunes on labeled pictures and keeps features of unlabeled ones.

    The loss adds the distance of the features to those of the pretrained
    network, which lie in the cache.

    Args:
        given: The run, its unlabeled pictures and the supervised candidate,
            whose weights training starts from.

    Returns:
        The fine-tuned candidate, evaluated on validation, and its history.
    """
    context = given.context
    rows = context.cache.features.rows(
        [picture.sha256 for picture in given.pool.pictures]
    )
    dealt = grouped_training.make_groups(
        given,
        weak_strong_views.keep_images,
        known=lambda places: batches.take_rows(rows, places),
    )
    form = grouped_training.make_form(context, dealt.targets)
    built = context.assembly
    return grouped_training.train_groups(
        given,
        grouped_training.GroupedTraining(
            network=keras.Model(
                built.trainer.inputs,
                [*built.trainer.outputs, *built.extractor.outputs],
            ),
            form=form,
            groups=dealt,
            pictures=1 + dealt.beside,
            loss=group_model.FeatureDistillation(
                context.loss,
                form,
                weight=context.config.unlabeled.unlabeled_weight,
                # Over pictures, averaged over features.
                variance=float(rows.compute_moments()[1].mean()),
            ),
        ),
    )
