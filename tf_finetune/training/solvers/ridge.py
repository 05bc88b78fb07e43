"""Ridge regression as the solver of a regression's head."""

from tf_finetune.training.solvers import head_problem as problems
from tf_finetune.training.solvers import ridge_regression


def solve(problem: problems.Problem) -> problems.Solution | None:
    """Fits the head; returns None if the problem is too large.

    Args:
        problem: Its targets are rows of standardized numbers.
    """
    features = problem.features
    if not ridge_regression.is_small(len(features), features.width):
        return None
    solved = ridge_regression.solve_ridge(
        features.all(),
        problem.targets.values,
        groups=problem.groups,
        seed=problem.config.seed,
    )
    strengths = ", ".join(f"{each:g}" for each in solved.strengths)
    how = f"ridge regression at its optimum, penalty {strengths} a picture"
    if solved.note:
        how += f" ({solved.note})"
    return problems.Solution(
        weights=(
            solved.kernel.astype("float32"),
            solved.bias.astype("float32"),
        ),
        how=how,
    )
