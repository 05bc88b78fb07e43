"""Input and result of fitting a head: `Problem` and `Solution`."""

import dataclasses
from collections.abc import Sequence

import keras
import numpy as np

from tf_finetune.config import train_config
from tf_finetune.data import split_targets as target_rows
from tf_finetune.feature_cache import batches
from tf_finetune.feature_cache import store as stores


@dataclasses.dataclass(frozen=True, kw_only=True)
class Problem:
    """A head to fit, its features and its targets.

    Attributes:
        model: The head alone: features → logits.
        solver: Name of the solver of a linear head, see `catalog`; "steps": the
            head is trained by gradient steps.
        features: n rows, of the training split.
        layout: How the head's input tensors lie in the rows.
        targets: Of the n pictures.
        loss: Of logits and targets; minimized by training.
        judged_by: The loss by which strengths are compared, without weights.
        groups: For each picture; those of one group are validated together.
        config: `class_weight`, `batch_size` and `seed` are read.
    """

    model: keras.Model
    solver: str
    features: stores.Rows
    layout: batches.RowLayout
    targets: target_rows.Targets
    loss: keras.losses.Loss
    judged_by: keras.losses.Loss
    groups: Sequence[str]
    config: train_config.TrainConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class Solution:
    """A head's fitted weights and a description for the log.

    Attributes:
        weights: In the order of the head model's `weights`, for raw features.
        how: One sentence for the log.
    """

    weights: tuple[np.ndarray, ...]
    how: str
