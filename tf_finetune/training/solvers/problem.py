"""What a head is solved on, and what comes out."""

import dataclasses
from collections.abc import Sequence

import keras
import numpy as np

from tf_finetune.cache import layout
from tf_finetune.cache import store as stores
from tf_finetune.config import train
from tf_finetune.data import targets as target_rows


@dataclasses.dataclass(frozen=True, kw_only=True)
class Problem:
    """A head, and what it is solved on.

    Attributes:
        model: What goes into the head → logits.
        solver: The name of how a linear one is solved to its optimum.
        features: n rows, of the training split.
        layout: How what goes into the head lies in them.
        targets: Of the n pictures.
        loss: Of logits and targets; what training lowers.
        judged_by: The loss by which strengths are compared, without weights.
        groups: For each picture; those of one group are judged together.
        config: `head`, `class_weight`, `batch_size` and `seed` are read.
    """

    model: keras.Model
    solver: str
    features: stores.Rows
    layout: layout.Layout
    targets: target_rows.Targets
    loss: keras.losses.Loss
    judged_by: keras.losses.Loss
    groups: Sequence[str]
    config: train.TrainConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class Solution:
    """A head's weights and how they came about.

    Attributes:
        weights: In the order of the head model's `weights`, for raw features.
        how: One sentence for the log.
    """

    weights: tuple[np.ndarray, ...]
    how: str
