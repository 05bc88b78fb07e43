"""The two stages of a run, and which of their results is kept."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from absl import logging

from tf_finetune import assembly, errors, inference
from tf_finetune.data import pipeline
from tf_finetune.runs import course as courses
from tf_finetune.training import (
    feature_store,
    features,
    fine_tuning,
    head,
    history,
)

# Pictures on which the joined model is compared with the cached features.
_REATTACHED = 8
# Above this difference of a logit, relative to the largest one, the cache and
# the model disagree; float32 sums in another order (another batch size) stay
# two orders of magnitude below it.
_TOLERANCE = 1e-3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidate:
    """A model that may become the result.

    Attributes:
        name: "probe" (the pretrained backbone under the solved head) or
            "fine_tune".
        weights: Of the whole model.
        predicted: Its predictions of the splits it was asked about.
    """

    name: str
    weights: Sequence[np.ndarray]
    predicted: Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Learnt:
    """What both stages came to.

    Attributes:
        probe: The yardstick of every run.
        tuned: None where nothing but the head moves.
        table: The history of the epochs.
    """

    probe: Candidate
    tuned: Candidate | None
    table: list[dict]


def learn(course: courses.Course) -> Learnt:
    """Solves the head on cached features, then fine-tunes."""
    fresh_head = course.built.head.get_weights()
    probe = _probe(course)
    if not course.fine_tunes:
        return Learnt(probe=probe, tuned=None, table=[])
    if course.config.training.head_init == "random":
        course.built.head.set_weights(fresh_head)
    table = _fine_tune(course)
    tuned = Candidate(
        name="fine_tune",
        weights=course.built.model.get_weights(),
        predicted={"validation": course.predict("validation")},
    )
    return Learnt(probe=probe, tuned=tuned, table=table)


def choose(course: courses.Course, learnt: Learnt) -> Candidate:
    """Gives the model the better weights on validation and returns them."""
    if learnt.tuned is None:
        return learnt.probe
    chosen = learnt.probe
    if np.isfinite(learnt.tuned.predicted["validation"]).all():
        chosen = _better(course, learnt.probe, learnt.tuned)
    else:
        logging.warning(
            "fine-tuning diverged: the model gives no finite predictions. The "
            "probe is kept; try a lower --learning_rate."
        )
    course.built.model.set_weights(list(chosen.weights))
    return chosen


def _better(
    course: courses.Course, probe: Candidate, tuned: Candidate
) -> Candidate:
    figures = [
        course.evaluate("validation", each.predicted["validation"])
        for each in (probe, tuned)
    ]
    merits = [course.task.merit(each) for each in figures]
    chosen = tuned if merits[1] > merits[0] else probe
    logging.info(
        "on validation: probe %s, fine-tuned %s; kept: %s",
        course.task.brief(figures[0]),
        course.task.brief(figures[1]),
        chosen.name,
    )
    return chosen


def _probe(course: courses.Course) -> Candidate:
    cached = _features(course)
    solution = head.solve(
        course.built.head,
        cached["train"],
        course.targets("train"),
        config=course.config,
        groups=[
            picture.group or picture.sha256
            for picture in course.data.split("train")
        ],
    )
    head.install(course.built.head, solution)
    _check_reattached(course, cached)
    logits = {
        split: inference.predict_rows(course.built.head, rows)
        for split, rows in cached.items()
    }
    return Candidate(
        name="probe",
        weights=course.built.model.get_weights(),
        predicted={s: course.task.finish(each) for s, each in logits.items()},
    )


def _features(course: courses.Course) -> dict[str, np.ndarray]:
    """Returns [n, width] pooled features of each split, in its order."""
    extractor = course.built.extractor
    size = {
        "image_size": course.image_size,
        "resize": course.config.model.resize,
    }
    key = features.key(extractor, **size)
    store = feature_store.Store(
        course.cache_dir / "features" / key, width=extractor.output_shape[-1]
    )
    rows = features.extract(
        extractor,
        course.data.pictures,
        batch_size=course.config.training.batch_size,
        store=store,
        **size,
    )
    where = np.array([picture.split for picture in course.data.pictures])
    return {split: rows[where == split] for split in course.data.splits}


def _check_reattached(
    course: courses.Course, cached: Mapping[str, np.ndarray]
) -> None:
    """Compares the joined model with the cached path on real pictures."""
    pictures = course.data.split("validation")[:_REATTACHED]
    (images,) = pipeline.evaluation_images(
        [picture.path for picture in pictures],
        image_size=course.image_size,
        resize=course.config.model.resize,
        batch_size=len(pictures),
    )
    rows = cached["validation"][:_REATTACHED]
    difference = assembly.largest_difference(
        course.built, np.asarray(images), rows
    )
    logging.info(
        "cached features against the joined model: logits of %d pictures "
        "differ by at most %.1e of the largest",
        len(pictures),
        difference,
    )
    if not difference <= _TOLERANCE:
        raise errors.RunError(
            "The cached features are not those of this model: logits differ "
            f"by {difference:.1e} of the largest. Remove --cache_dir="
            f"{course.cache_dir} and run again."
        )


def _fine_tune(course: courses.Course) -> list[dict]:
    place = course.place
    trainer = courses.compiled(course)
    with course.strategy.scope(), courses.in_precision(course):
        outcome = fine_tuning.run(
            trainer,
            data=course.data,
            task=course.task,
            config=course.config,
            image_size=course.image_size,
            place=place,
            report=lambda rows: history.write(
                place.history, history.rows("fine_tune", rows)
            ),
        )
    return history.rows("fine_tune", outcome.rows)
