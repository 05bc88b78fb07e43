"""Pseudo-labels: unlabeled pictures are trained on as their likeliest class.

Both stages run again, on the labeled pictures and on those with a pseudo-label.

Source: Lee 2013, "Pseudo-Label"; Iscen et al. 2019, "Label Propagation for
Deep Semi-supervised Learning", section 4.
"""

import dataclasses

from absl import logging

from tf_finetune.runs import learning
from tf_finetune.runs.objectives import guessing, objective


def learn(given: objective.Given) -> objective.Outcome | None:
    """Guesses labels, measures their precision, and trains on them."""
    course, pool = given.course, given.pool.pictures
    found = guessing.guess(given)
    learnt_from = tuple(
        dataclasses.replace(picture, label=label, split="train")
        for picture, label in zip(pool, found.labels, strict=True)
        if label is not None
    )
    if not learnt_from:
        logging.warning("no unlabeled picture has a sure enough pseudo-label")
        return None
    # As training pictures like others; no other split has any of them.
    data = dataclasses.replace(
        course.data, pictures=(*course.data.pictures, *learnt_from)
    )
    changed = dataclasses.replace(course, data=data)
    learnt = learning.learn(changed)
    return objective.Outcome(
        # The probe on all labels may be the better one here, too.
        candidate=learning.choose(changed, learnt),
        table=learnt.table,
        facts={
            "learnt": len(learnt_from),
            "precision": found.trust.precision,
            "precision_of": {
                "measured_on": found.where,
                **dataclasses.asdict(found.trust),
            },
        },
        text=_text(len(learnt_from), len(pool), found),
    )


def _text(count: int, of: int, found: guessing.Guessed) -> str:
    text = f"{count} of {of} unlabeled pictures were used"
    if found.trust.precision is None:
        return f"{text}; too few labeled ones to measure the precision"
    return (
        f"{text}; on {found.where}, {found.trust.right} of "
        f"{found.trust.guessed} pseudo-labels are right (precision "
        f"{found.trust.precision:.3f})"
    )
