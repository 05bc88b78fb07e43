"""Fine-tuning that keeps the features of unlabeled pictures unchanged.

The teacher is the network before it is trained, whose features lie in the
cache.
"""

import keras
import numpy as np
import tensorflow as tf

from tf_finetune.cache import store as stores
from tf_finetune.data.augmenting import views
from tf_finetune.runs.objectives import grouped, objective
from tf_finetune.training.unlabelled import distillation


def learn(given: objective.Given) -> objective.Outcome:
    """Fine-tunes on labeled pictures, close to the teacher on others."""
    course = given.course
    rows = course.cache.features.rows(
        [picture.sha256 for picture in given.pool.pictures]
    )
    dealt = grouped.dealt(
        given, views.as_they_are, known=lambda places: _taken(rows, places)
    )
    form = grouped.form(course, dealt.targets)
    built = course.built
    return grouped.learn(
        given,
        grouped.Training(
            network=keras.Model(
                built.trainer.inputs,
                [*built.trainer.outputs, *built.extractor.outputs],
            ),
            form=form,
            dealt=dealt,
            pictures=1 + dealt.beside,
            loss=distillation.FeatureDistillation(
                course.loss,
                form,
                weight=course.config.unlabelled.unlabeled_weight,
                variance=_variance(rows),
            ),
        ),
    )


def _taken(rows: stores.Rows, places: tf.Tensor) -> tf.Tensor:
    found = tf.numpy_function(
        rows.take, [places], tf.as_dtype(rows.dtype), stateful=False
    )
    return tf.cast(tf.ensure_shape(found, [None, rows.width]), tf.float32)


def _variance(rows: stores.Rows) -> float:
    """Returns the variance over pictures, averaged over features."""
    total, squares = 0.0, 0.0
    for block in rows.blocks():
        total = total + block.sum(axis=0, dtype="float64")
        squares = squares + np.square(block, dtype="float64").sum(axis=0)
    # Var x = E x² − (E x)², in float64, in one pass over the rows.
    mean = total / len(rows)
    return float(np.mean(squares / len(rows) - mean**2))
