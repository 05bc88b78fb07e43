"""Late fusion: ridge regressions on single inputs of a row, and their stacks.

The pictures at each place of a row and all of them joined are solved by ridge
regression on their features, the columns by one of their own. The best one on
validation is kept: the stacked pictures, the columns, or the stack of all.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from tf_finetune.solvers import ridge_regression
from tf_finetune.tasks.regression.rows import column_features, stacking

JOINED, COLUMNS = "all_pictures", "columns"


@dataclasses.dataclass(frozen=True, kw_only=True)
class RowInputs:
    """Inputs of the rows of one split.

    Attributes:
        features: [n, pictures, width] of the pretrained network.
        numbers: [n, numbers], NaN where one is missing.
        words: For each row the word of each column.
    """

    features: np.ndarray
    numbers: np.ndarray
    words: Sequence[Sequence[str]]

    @property
    def has_columns(self) -> bool:
        """Whether there are columns beside the pictures."""
        return bool(self.numbers.shape[1] or len(self.words[0]))

    @property
    def joined_features(self) -> np.ndarray:
        """The features of all pictures side by side, [n, pictures · width]."""
        return self.features.reshape(len(self.features), -1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FusionParts:
    """Ridge regressions of the pictures and of the columns.

    Attributes:
        pictures: By the place of a picture, on its features; and by `JOINED`
            where there are several.
        columns: None where there are no columns.
    """

    pictures: Mapping[str, ridge_regression.Ridge]
    columns: column_features.ColumnsSolution | None

    @property
    def out_of_fold(self) -> dict[str, np.ndarray]:
        """Predictions of each part for training rows that it did not see."""
        found = {k: each.out_of_fold for k, each in self.pictures.items()}
        if self.columns:
            found[COLUMNS] = self.columns.ridge.out_of_fold
        return found

    def __call__(self, rows: RowInputs) -> dict[str, np.ndarray]:
        """Returns the predictions of each part, [n, targets]."""
        found = {}
        for place, (name, solved) in enumerate(self.pictures.items()):
            features = rows.joined_features
            if name != JOINED:
                features = rows.features[:, place]
            found[name] = solved(features)
        if self.columns:
            found[COLUMNS] = self.columns(rows.numbers, rows.words)
        return found

    def kernel(self, stack: stacking.Stack) -> tuple[np.ndarray, np.ndarray]:
        """Folds the pictures' share of a stack into one linear map.

        Returns:
            Kernel [pictures · width, targets] on joined features, and bias.
        """
        count = len([name for name in self.pictures if name != JOINED])
        width = len(next(iter(self.pictures.values())).kernel)
        targets = stack.weights.shape[1]
        kernel = np.zeros([count, width, targets])
        bias = np.zeros(targets)
        # Σ weight_p · (x_p · kernel_p + bias_p) is linear in the joined x.
        for place, (name, solved) in enumerate(self.pictures.items()):
            weight = stack.weights[stack.parts.index(name)]
            share = solved.kernel * weight
            if name == JOINED:
                kernel += share.reshape(kernel.shape)
            else:
                kernel[place] += share
            bias += solved.bias * weight
        return kernel.reshape(count * width, targets), bias


def solve_parts(
    rows: RowInputs,
    targets: np.ndarray,
    *,
    places: Sequence[str],
    groups: Sequence[str],
    seed: int,
) -> FusionParts:
    """Solves every part on training rows.

    Args:
        rows: Of the training split.
        targets: [n, targets], standardized.
        places: The names of a row's pictures.
        groups: A key for each row, as in `ridge_regression.solve_ridge`.
        seed: Of the folds, which are the same for all parts.
    """
    inputs = {name: rows.features[:, i] for i, name in enumerate(places)}
    if len(places) > 1:
        inputs[JOINED] = rows.joined_features
    pictures = {
        name: ridge_regression.solve_ridge(
            features, targets, groups=groups, seed=seed
        )
        for name, features in inputs.items()
    }
    beside = None
    if rows.has_columns:
        beside = column_features.solve_columns(
            rows.numbers, rows.words, targets, groups=groups, seed=seed
        )
    return FusionParts(pictures=pictures, columns=beside)


def build_candidates(
    parts: FusionParts, targets: np.ndarray
) -> dict[str, stacking.Stack]:
    """Builds the stacks to be compared on validation, by name.

    Args:
        parts: Solved.
        targets: [n, targets] of the training rows, standardized.
    """
    said = parts.out_of_fold
    names = tuple(said)
    if any(each is None for each in said.values()):
        # A single group of rows has no folds to find weights on.
        alone = {
            "pictures": stacking.build_single_part(
                names[0], names, targets.shape[1]
            )
        }
        if parts.columns:
            alone[COLUMNS] = stacking.build_single_part(
                COLUMNS, names, targets.shape[1]
            )
        return alone
    pictures = {k: each for k, each in said.items() if k != COLUMNS}
    found = {
        "pictures": stacking.add_parts(
            stacking.fit_stack(pictures, targets), names
        )
    }
    if parts.columns:
        found[COLUMNS] = stacking.build_single_part(
            COLUMNS, names, targets.shape[1]
        )
        found["stack"] = stacking.fit_stack(said, targets)
    return found
