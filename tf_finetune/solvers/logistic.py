"""Multinomial logistic regression as the solver of a classifier's head."""

from tf_finetune.solvers import head_problem as problems
from tf_finetune.solvers import linear_probe


def solve(problem: problems.Problem) -> problems.Solution | None:
    """Fits the head; returns None if the problem is too large.

    Args:
        problem: Its targets are one-hot rows.
    """
    # Solved in memory with scikit-learn, hence the limit on size.
    features, targets = problem.features, problem.targets.values
    if not linear_probe.is_small(
        len(features), features.width, targets.shape[1]
    ):
        return None
    solved = linear_probe.solve(
        features.all(),
        targets.argmax(axis=1),
        groups=problem.groups,
        class_weight=problem.config.training.class_weight,
        seed=problem.config.seed,
    )
    how = f"logistic regression at its optimum, strength C={solved.strength:g}"
    if solved.note:
        how += f" ({solved.note})"
    return problems.Solution(weights=(solved.kernel, solved.bias), how=how)
