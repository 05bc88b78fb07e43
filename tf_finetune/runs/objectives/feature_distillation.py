"""Fine-tuning that keeps the features of unlabeled pictures unchanged.

The teacher is the network before it is trained, whose features lie in the
cache.
"""

import keras
import numpy as np
import tensorflow as tf

from tf_finetune.data.augment import weak_strong_views
from tf_finetune.feature_cache import store as stores
from tf_finetune.runs.objectives import grouped_training, objective_protocol
from tf_finetune.semi_supervised import group_losses


def learn(
    given: objective_protocol.ObjectiveInputs,
) -> objective_protocol.ObjectiveResult:
    """Fine-tunes on labeled pictures, close to the teacher on others."""
    context = given.context
    rows = context.cache.features.rows(
        [picture.sha256 for picture in given.pool.pictures]
    )
    dealt = grouped_training.make_groups(
        given,
        weak_strong_views.keep_images,
        known=lambda places: _take_rows(rows, places),
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
            loss=group_losses.FeatureDistillation(
                context.loss,
                form,
                weight=context.config.unlabeled.unlabeled_weight,
                variance=_compute_variance(rows),
            ),
        ),
    )


def _take_rows(rows: stores.Rows, places: tf.Tensor) -> tf.Tensor:
    found = tf.numpy_function(
        rows.take, [places], tf.as_dtype(rows.dtype), stateful=False
    )
    return tf.cast(tf.ensure_shape(found, [None, rows.width]), tf.float32)


def _compute_variance(rows: stores.Rows) -> float:
    """Returns the variance over pictures, averaged over features."""
    total, squares = 0.0, 0.0
    for block in rows.iterate_blocks():
        total = total + block.sum(axis=0, dtype="float64")
        squares = squares + np.square(block, dtype="float64").sum(axis=0)
    # Var x = E x² − (E x)², in float64, in one pass over the rows.
    mean = total / len(rows)
    return float(np.mean(squares / len(rows) - mean**2))
