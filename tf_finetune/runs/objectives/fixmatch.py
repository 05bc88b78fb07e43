"""FixMatch: confident pseudo-labels of weak views train on strong ones.

Source: Sohn et al. 2020, "FixMatch: Simplifying Semi-Supervised Learning with
Consistency and Confidence".
"""

from tf_finetune.data.augmenting import views
from tf_finetune.runs.objectives import grouped, objective
from tf_finetune.training.unlabelled import consistency


def learn(given: objective.Given) -> objective.Outcome:
    """Fine-tunes on labeled pictures and confident pseudo-labels of others."""
    course, options = given.course, given.course.config.unlabelled
    dealt = grouped.dealt(given, views.weak_and_strong())
    form = grouped.form(course, dealt.targets)
    return grouped.learn(
        given,
        grouped.Training(
            network=course.built.trainer,
            form=form,
            dealt=dealt,
            # The labeled one, and two views of each unlabeled one.
            pictures=1 + 2 * options.unlabeled_ratio,
            loss=consistency.FixMatch(
                course.loss,
                form,
                weight=options.unlabeled_weight,
                confidence=options.confidence,
                exclusive=course.task.guesses.exclusive,
            ),
        ),
    )
