"""Heads of several layers, solved on cached features."""

import keras
import numpy as np
import pytest

from tf_finetune.config import options, train_config
from tf_finetune.data import split_targets as target_rows
from tf_finetune.feature_cache import batches
from tf_finetune.feature_cache import store as stores
from tf_finetune.heads import head
from tf_finetune.model import inference
from tf_finetune.solvers import head_problem as problems
from tf_finetune.training import head_fit


def _data():
    """Three classes apart in raw units of very different size."""
    generator = np.random.default_rng(0)
    labels = np.arange(120) % 3
    centers = generator.normal(size=[3, 6]) * 3
    rows = (centers[labels] + generator.normal(size=[120, 6])) * (
        10.0 ** np.arange(-2, 4)
    ) + 50
    return rows.astype("float32"), np.eye(3, dtype="float32")[labels]


def _problem(tokens: str, folder) -> problems.Problem:
    features, targets = _data()
    names = [f"{number:064x}" for number in range(len(features))]
    store = stores.Store(folder, width=6, dtype="float32")
    store.put(names, features)
    config = options.from_keywords(
        train_config.TrainConfig, {"head_layers": tokens, "batch_size": 64}
    )
    keras.utils.set_random_seed(1)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    return problems.Problem(
        model=keras.Sequential(
            [keras.Input([6]), *head.build_linear_layers(config.model, 3)]
        ),
        solver="steps",
        features=store.rows(names),
        layout=batches.RowLayout(shapes=((6,),)),
        targets=target_rows.ArrayTargets(targets),
        loss=loss,
        judged_by=loss,
        groups=[str(number) for number in range(len(features))],
        config=config,
    )


@pytest.mark.parametrize(
    "tokens",
    [
        "16,relu",  # The dense layer takes the standardization.
        "dropout:0.1,8,batch_norm,gelu,dropout:0.2",  # Also behind dropout.
        "batch_norm,16,relu",  # The batch norm does.
        "layer_norm,32,relu",  # Nobody does: features stay as they are.
        "dropout:0.1",  # Linear, but nothing is solved exactly.
    ],
)
def test_a_head_of_layers_separates_raw_features(tokens, tmp_path, monkeypatch):
    monkeypatch.setattr(head_fit, "_MIN_STEPS", 250)
    monkeypatch.setattr(head_fit, "_WEIGHT_DECAYS", (1e-2,))
    problem = _problem(tokens, tmp_path)
    solution = head_fit.solve_or_train(problem)
    assert "250 steps on cached features" in solution.how
    head_fit.set_solution(problem.model, solution)
    features, targets = _data()
    logits = inference.predict_rows(problem.model, features)
    accuracy = np.mean(logits.argmax(axis=1) == targets.argmax(axis=1))
    # A layer norm over such units sees the largest ones alone.
    assert accuracy > (0.6 if "layer_norm" in tokens else 0.95)
    for layer in problem.model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            # Zero would hide every feature for ever.
            assert np.abs(np.asarray(layer.gamma)).min() > 0.2
