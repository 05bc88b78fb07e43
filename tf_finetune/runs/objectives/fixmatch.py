"""FixMatch: confident pseudo-labels of weak views train on strong ones.

Source: Sohn et al. 2020, "FixMatch: Simplifying Semi-Supervised Learning with
Consistency and Confidence".
"""

from tf_finetune.data.augment import weak_strong_views
from tf_finetune.runs.objectives import grouped_training, objective_protocol
from tf_finetune.semi_supervised import group_model


def learn(
    given: objective_protocol.ObjectiveInputs,
) -> objective_protocol.ObjectiveResult:
    """Fine-tunes on labeled pictures and confident pseudo-labels of others.

    Args:
        given: The run, its unlabeled pictures and the supervised candidate,
            whose weights training starts from.

    Returns:
        The fine-tuned candidate, evaluated on validation, and its history.
    """
    context, options = given.context, given.context.config.unlabeled
    dealt = grouped_training.make_groups(
        given, weak_strong_views.build_weak_and_strong()
    )
    form = grouped_training.make_form(context, dealt.targets)
    return grouped_training.train_groups(
        given,
        grouped_training.GroupedTraining(
            network=context.assembly.trainer,
            form=form,
            groups=dealt,
            # The labeled one, and two views of each unlabeled one.
            pictures=1 + 2 * options.unlabeled_ratio,
            loss=group_model.FixMatch(
                context.loss,
                form,
                weight=options.unlabeled_weight,
                confidence=options.confidence,
                exclusive=context.task.pseudo_labels.exclusive,
            ),
        ),
    )
