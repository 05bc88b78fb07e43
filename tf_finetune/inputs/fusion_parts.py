"""Late fusion: heads solved on single inputs of a row, and their stacks.

The pictures at each place of a row and all of them joined are parts, and so are
the columns. The best on validation is kept: the inputs of one block, or the
stack of all.
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from absl import logging

from tf_finetune.config import training_options
from tf_finetune.inputs import head_solvers, input_protocol
from tf_finetune.solvers import head_problem

Values = Mapping[str, np.ndarray]
"""By name of the input [n, …]; of pictures the features of the network."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Block:
    """Inputs whose features are concatenated, with the heads solved on them.

    Attributes:
        encodings: Name of the input → encoding, in the order of features.
        slices: Name of the head → the features that it is solved on.
        solutions: Name of the head → the solved head.
    """

    encodings: Mapping[str, input_protocol.Encoding]
    slices: Mapping[str, slice]
    solutions: Mapping[str, head_problem.LinearHead]

    def compute_logits(self, values: Values) -> dict[str, np.ndarray]:
        """Computes the logits of each head, by name, [n, outputs].

        `values` has those of n rows by input: the table's numbers or words,
        and the network's features of pictures.
        """
        features = _encode(self.encodings, values)
        return {
            name: features[:, self.slices[name]] @ each.kernel + each.bias
            for name, each in self.solutions.items()
        }

    def fold(self, stack: head_solvers.Stack) -> tuple[np.ndarray, np.ndarray]:
        """Folds the block's terms of a weighted sum of logits into one layer.

        Args:
            stack: Weights of the logits of all heads, these among them.

        Returns:
            Kernel [width, outputs] on all features of the block, and bias
            [outputs], without the bias of `stack`.
        """
        width = max(each.stop for each in self.slices.values())
        kernel = np.zeros([width, stack.weights.shape[1]])
        bias = np.zeros(stack.weights.shape[1])
        # Σ weight_p · (x_p · kernel_p + bias_p) is linear in the block's x.
        for name, solved in self.solutions.items():
            weight = stack.weights[stack.parts.index(name)]
            kernel[self.slices[name]] += solved.kernel * weight
            bias += solved.bias * weight
        return kernel, bias


@dataclasses.dataclass(frozen=True, kw_only=True)
class FusionParts:
    """Heads solved on single inputs of a table row, for late fusion.

    Attributes:
        blocks: Name → inputs that are encoded and solved together.
    """

    blocks: Mapping[str, Block]

    def compute_logits(self, values: Values) -> dict[str, np.ndarray]:
        """Computes the logits of each head, by name, [n, outputs].

        `values` are as for `Block.compute_logits`; heads have the names of the
        keys in `Block.solutions`.
        """
        found = {}
        for block in self.blocks.values():
            found |= block.compute_logits(values)
        return found


def solve_parts(
    inputs: Sequence[input_protocol.Input],
    values: Values,
    targets: np.ndarray,
    *,
    solver: head_solvers.HeadSolver,
    groups: Sequence[str],
    class_weight: training_options.ClassWeight = "none",
    seed: int,
) -> FusionParts:
    """Solves every head of a fusion on the training rows.

    Where an input has several encodings, the one with the lowest loss of
    left-out rows is kept.

    Args:
        inputs: Inputs of the run.
        values: Name of the input → [n, …], values of the training rows.
        targets: [n, outputs].
        solver: Solver of the task's head.
        groups: A key for each row; rows of one key are in the same fold.
        class_weight: Value of `--class_weight`.
        seed: Seed of the folds, which are the same for all heads.
    """
    blocks = {}
    for name in dict.fromkeys(each.block for each in inputs):
        members = [each for each in inputs if each.block == name]
        solve = functools.partial(
            solver.solve,
            targets=targets,
            groups=groups,
            class_weight=class_weight,
            standardized=members[0].standardized,
            seed=seed,
        )
        is_small = functools.partial(solver.is_small, outputs=targets.shape[1])
        tried = _solve_encodings(members, values, solve, is_small)
        blocks[name] = _select_block(tried, targets, solver)
    return FusionParts(blocks=blocks)


def build_candidates(
    parts: FusionParts, targets: np.ndarray, solver: head_solvers.HeadSolver
) -> dict[str, head_solvers.Stack]:
    """Builds weighted sums of heads, to be compared on validation.

    Args:
        parts: The solved heads.
        targets: [n, outputs] of the training rows.
        solver: Solver of the task's head.

    Returns:
        Name → weighted sum: one per block, by its name, and "stack" of all
        heads if there are several blocks and all heads were cross-validated.
        All have the same `parts`; unused ones weigh 0.
    """
    said = {
        name: solved.out_of_fold
        for block in parts.blocks.values()
        for name, solved in block.solutions.items()
    }
    names, outputs = tuple(said), targets.shape[1]
    # A single group of rows has no folds to find weights on.
    has_folds = all(each is not None for each in said.values())
    found = {}
    for name, block in parts.blocks.items():
        mine = tuple(block.solutions)
        # With one head, or without folds, nothing is weighed.
        stack = head_solvers.take_alone(mine[0], outputs)
        if has_folds and len(mine) > 1:
            stack = _fit_stack(said, mine, targets, solver)
        found[name] = stack.extend(names)
    if has_folds and len(parts.blocks) > 1:
        found["stack"] = _fit_stack(said, names, targets, solver)
    return found


def _solve_encodings(
    members: Sequence[input_protocol.Input],
    values: Values,
    solve: Callable[[np.ndarray], head_problem.LinearHead],
    is_small: Callable[[int, int], bool],
) -> Iterator[Block]:
    """Yields a block solved with each combination of its inputs' encodings."""
    fitted = [each.fit_encodings(values[each.name]) for each in members]
    names = [each.name for each in members]
    # Each input may be encoded in several ways; all pairs are tried.
    for encodings in itertools.product(*fitted):
        named = dict(zip(names, encodings, strict=True))
        features = _encode(named, values)
        if not is_small(*features.shape):
            logging.warning(
                "A head on %d rows of %d features is solved in memory; this "
                "may take minutes and gigabytes.",
                *features.shape,
            )
        slices = members[0].name_parts(features.shape[1])
        yield Block(
            encodings=named,
            slices=slices,
            solutions={n: solve(features[:, s]) for n, s in slices.items()},
        )


def _select_block(
    tried: Iterator[Block],
    targets: np.ndarray,
    solver: head_solvers.HeadSolver,
) -> Block:
    """Returns the block that predicts left-out rows best, or the first one."""
    best, least = None, np.inf
    for block in tried:
        said = [each.out_of_fold for each in block.solutions.values()]
        # Without folds nothing can be compared: the plain encoding is used.
        if any(each is None for each in said):
            return best or block
        loss = np.mean([_measure(solver, each, targets) for each in said])
        if loss < least:
            best, least = block, loss
    return best


def _encode(
    encodings: Mapping[str, input_protocol.Encoding], values: Values
) -> np.ndarray:
    features = [each.encode(values[name]) for name, each in encodings.items()]
    return features[0] if len(features) == 1 else np.concatenate(features, 1)


def _measure(
    solver: head_solvers.HeadSolver, logits: np.ndarray, targets: np.ndarray
) -> float:
    # Rows that no fold left out have no logits.
    known = np.isfinite(logits).all(axis=1)
    return solver.measure(logits[known], targets[known])


def _fit_stack(
    said: Mapping[str, np.ndarray],
    names: Sequence[str],
    targets: np.ndarray,
    solver: head_solvers.HeadSolver,
) -> head_solvers.Stack:
    # Rows that no fold left out have no logits; all parts have equal folds.
    known = np.all([np.isfinite(said[n]).all(axis=1) for n in names], axis=0)
    return solver.fit_stack({n: said[n][known] for n in names}, targets[known])
