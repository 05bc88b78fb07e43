"""The ways to solve a linear head to its optimum, by name.

Each is a function of a `head_problem.Problem` that returns its solution, or
None where the problem is too large for it.
"""

from tf_finetune import registry

SOLVERS = registry.Registry(
    "solver",
    {
        "logistic": "tf_finetune.solvers.logistic:solve",
        "logistic_per_label": "tf_finetune.solvers.logistic_per_label:solve",
        "ridge": "tf_finetune.solvers.ridge:solve",
    },
)
