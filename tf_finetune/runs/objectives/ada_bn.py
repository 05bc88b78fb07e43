"""AdaBN: batch-norm statistics of the user's pictures, then both stages.

Source: Li et al. 2016, "Revisiting Batch Normalization For Practical Domain
Adaptation".
"""

import dataclasses

from absl import logging

from tf_finetune.data import pipeline
from tf_finetune.runs import frozen, learning
from tf_finetune.runs.objectives import objective
from tf_finetune.training.unlabelled import statistics


def learn(given: objective.Given) -> objective.Outcome | None:
    """Adapts the statistics to training and unlabeled pictures, and trains."""
    course = given.course
    pictures = (*course.data.split("train"), *given.pool.pictures)
    images = pipeline.evaluation_images(
        [picture.path for picture in pictures],
        image_size=course.image_size,
        resize=course.config.model.resize,
        pixels=course.config.model.pixels,
        batch_size=course.config.training.batch_size,
    )
    count = statistics.adapt(course.built.backbone.model, images)
    # Networks with layer norm, for example.
    if not count:
        logging.warning("the backbone has no batch norm that could be adapted")
        return None
    # Other statistics give other features: another entry of the cache.
    cache = frozen.Cache(
        course.config, course.built, course.networks, given.held
    )
    adapted = dataclasses.replace(course, cache=cache)
    learnt = learning.learn(adapted)
    return objective.Outcome(
        candidate=learning.choose(adapted, learnt),
        table=learnt.table,
        facts={"layers": count, "pictures": len(pictures)},
        text=f"{count} batch norms adapted to {len(pictures)} pictures",
    )
