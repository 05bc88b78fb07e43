"""Independent logistic regressions as the solver of a head of labels."""

from tf_finetune.solvers import head_problem as problems
from tf_finetune.solvers import linear_probe, probe_per_label


def solve(problem: problems.Problem) -> problems.Solution | None:
    """Fits the head; returns None if the problem is too large.

    Args:
        problem: Its targets are rows of 0 and 1.
    """
    features, targets = problem.features, problem.targets.values
    if not linear_probe.is_small(
        len(features), features.width, targets.shape[1]
    ):
        return None
    solved = probe_per_label.solve(
        features.all(),
        targets,
        groups=problem.groups,
        class_weight=problem.config.training.class_weight,
        seed=problem.config.seed,
    )
    # Each label has its own strength; the log shows their range.
    low, high = solved.strengths.min(), solved.strengths.max()
    how = (
        f"{len(solved.bias)} logistic regressions at their optima, strengths "
        f"C={low:.2g} to {high:.2g}"
    )
    if solved.note:
        how += f" ({solved.note})"
    return problems.Solution(weights=(solved.kernel, solved.bias), how=how)
