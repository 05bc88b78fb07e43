"""Distillation on unlabeled pictures: the teacher answers for them.

Both stages run again, on the labeled pictures and on the others with the
teacher's answers: the head is solved on its likeliest labels, fine-tuning
compares logits, of which the teacher is the whole loss.
"""

import dataclasses

import numpy as np

from tf_finetune.runs import candidates, train
from tf_finetune.runs.objectives import objective_protocol


def learn(
    given: objective_protocol.ObjectiveInputs,
) -> objective_protocol.ObjectiveResult:
    """Trains both stages on labeled and unlabeled pictures with the teacher.

    Args:
        given: The run, with its teacher, and its unlabeled pictures.

    Returns:
        The better of probe and fine-tuned model.
    """
    context, pool = given.context, given.pool.pictures
    (logits,) = context.distillation.logits.compute(pool, 1)
    guesses, names = context.task.pseudo_labels, context.data.class_names
    labels = guesses.labels(
        context.task.network.finish(logits),
        guesses.rows([p.label for p in context.data.split("train")], names),
        names,
        # Every picture gets a label, however unsure the teacher is.
        share=1.0,
    )
    joined = tuple(
        dataclasses.replace(picture, label=label, split="train")
        for picture, label in zip(pool, labels, strict=True)
        if label is not None
    )
    changed = dataclasses.replace(
        context,
        data=dataclasses.replace(
            context.data, pictures=(*context.data.pictures, *joined)
        ),
        distillation=dataclasses.replace(
            context.distillation,
            unlabeled=frozenset(picture.sha256 for picture in joined),
        ),
    )
    learned = train.run_stages(changed)
    sure = float(np.mean(context.task.network.finish(logits).max(axis=-1)))
    return objective_protocol.ObjectiveResult(
        candidate=candidates.select_candidate(changed, learned),
        table=learned.table,
        facts={"learned": len(joined), "teacher_probability": sure},
        text=(
            f"{len(joined)} of {len(pool)} unlabeled pictures were learned "
            f"from the teacher, whose likeliest class has a probability of "
            f"{sure:.2f} on average"
        ),
    )
