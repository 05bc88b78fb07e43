"""FixMatch: sure guesses about weak views are learnt for strong ones."""

from tf_finetune.data.augmenting import views
from tf_finetune.runs.objectives import grouped, objective
from tf_finetune.training.unlabelled import consistency


def learn(given: objective.Given) -> objective.Outcome:
    """Fine-tunes on labelled pictures and on sure guesses about others."""
    course, options = given.course, given.course.config.unlabelled
    dealt = grouped.dealt(given, views.weak_and_strong())
    form = grouped.form(course, dealt.targets)
    return grouped.learn(
        given,
        grouped.Training(
            network=course.built.trainer,
            form=form,
            dealt=dealt,
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
