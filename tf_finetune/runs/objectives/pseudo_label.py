"""Pseudo-labels: unlabeled pictures are trained on as their likeliest class.

Both stages run again, on the labeled pictures and on those with a pseudo-label.

Source: Lee 2013, "Pseudo-Label"; Iscen et al. 2019, "Label Propagation for
Deep Semi-supervised Learning", section 4.
"""

import dataclasses

from absl import logging

from tf_finetune.runs import fit_stages
from tf_finetune.runs.objectives import objective_protocol, pool_labels


def learn(
    given: objective_protocol.ObjectiveInputs,
) -> objective_protocol.ObjectiveResult | None:
    """Guesses labels, measures their precision, and trains on them."""
    context, pool = given.context, given.pool.pictures
    found = pool_labels.assign_labels(given)
    learned_from = tuple(
        dataclasses.replace(picture, label=label, split="train")
        for picture, label in zip(pool, found.labels, strict=True)
        if label is not None
    )
    if not learned_from:
        logging.warning("no unlabeled picture has a confident pseudo-label")
        return None
    # As training pictures like others; no other split has any of them.
    data = dataclasses.replace(
        context.data, pictures=(*context.data.pictures, *learned_from)
    )
    changed = dataclasses.replace(context, data=data)
    learned = fit_stages.run_stages(changed)
    return objective_protocol.ObjectiveResult(
        # The probe on all labels may be the better one here, too.
        candidate=fit_stages.select_candidate(changed, learned),
        table=learned.table,
        facts={
            "learned": len(learned_from),
            "precision": found.precision.precision,
            "precision_of": {
                "measured_on": found.where,
                **dataclasses.asdict(found.precision),
            },
        },
        text=_format_result(len(learned_from), len(pool), found),
    )


def _format_result(count: int, of: int, found: pool_labels.PoolLabels) -> str:
    text = f"{count} of {of} unlabeled pictures were used"
    if found.precision.precision is None:
        return f"{text}; too few labeled ones to measure the precision"
    return (
        f"{text}; on {found.where}, {found.precision.right} of "
        f"{found.precision.guessed} pseudo-labels are right (precision "
        f"{found.precision.precision:.3f})"
    )
