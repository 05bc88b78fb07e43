"""Trains tiny nets on several replicas; prints what they came to as JSON.

`python replica_cases.py one|mirrored|multi_worker CASE …`. "one" is plain Keras
in one process: what the others are compared with. Beside the cases of every
check (those that are not in `IN_CAMPAIGN`), a head and what dropout leaves of
ones are computed.
"""

import contextlib
import faulthandler
import itertools
import json
import os
import pathlib
import sys
import tempfile

import keras
import numpy as np
import tensorflow as tf

from tf_finetune.adaptation import carrier, lora, method
from tf_finetune.config import (
    model_options,
    options,
    train_config,
    training_options,
)
from tf_finetune.data import split_targets as target_rows
from tf_finetune.feature_cache import batches
from tf_finetune.feature_cache import store as stores
from tf_finetune.runs import head_stage
from tf_finetune.semi_supervised import distillation
from tf_finetune.solvers import head_problem as problems
from tf_finetune.tasks.classification import network
from tf_finetune.training import fit, head_fit, optimizers, train_step
from tf_finetune.training import fit_stage as stages
from tf_finetune.training.devices import device_settings
from tf_finetune.training.distributed import replicas

_EPOCHS, _BATCH = 2, 16
# Also part of "layer_decay" or of another case: trained in a campaign.
IN_CAMPAIGN = (
    "sgd", "momentum", "adam", "adamw", "clip_norm", "averages",
    "class_weights", "batch_norm", "distillation", "all_together",
)  # fmt: skip
CASES = {
    "sgd": {"optimizer": "sgd"},
    "momentum": {"optimizer": "momentum"},
    "adam": {"optimizer": "adam"},
    "adamw": {"optimizer": "adamw", "weight_decay": 0.1},
    "last_batch_of_one": {"optimizer": "adam", "examples": 33},
    "clip_norm": {"optimizer": "sgd", "clip_norm": 0.05},
    "clip_variable_norm": {"optimizer": "sgd", "clip_variable_norm": 0.05},
    "accumulation": {"optimizer": "adam", "gradient_accumulation_steps": 3},
    "averages": {"optimizer": "adamw", "ema_momentum": 0.8},
    "class_weights": {"optimizer": "adam", "class_weights": (0.2, 1.0, 3.0)},
    "penalty": {"optimizer": "sgd", "l2": 0.1},
    "batch_norm": {"optimizer": "momentum", "sync_batch_norm": True},
    "batch_norm_last_of_one": {
        "optimizer": "sgd", "sync_batch_norm": True, "examples": 33,
    },
    "adapter": {"optimizer": "adamw", "adapted": True},
    "distillation": {"optimizer": "adamw", "taught": True},
    "distillation_last_of_one": {
        "optimizer": "sgd", "taught": True, "examples": 33,
    },
    "overflow": {"optimizer": "adamw", "scaled": True},
    "float16": {"optimizer": "momentum", "scaled": True, "float16": True},
    "all_together": {
        "optimizer": "adamw", "ema_momentum": 0.8, "clip_norm": 0.05,
        "gradient_accumulation_steps": 2, "scaled": True,
        "class_weights": (0.2, 1.0, 3.0),
    },
    "layer_decay": {
        "optimizer": "adamw", "weight_decay": 0.1, "ema_momentum": 0.8,
        "clip_norm": 0.05, "gradient_accumulation_steps": 2, "scaled": True,
        "class_weights": (0.2, 1.0, 3.0), "l2_sp": 0.3, "factor": 0.2,
    },
}  # fmt: skip
# What costs time and shows nothing new is left out elsewhere.
IN_WORKERS = (
    "momentum", "adamw", "last_batch_of_one", "clip_norm", "batch_norm",
    "overflow", "float16", "all_together", "layer_decay", "distillation",
    "batch_norm_last_of_one", "distillation_last_of_one",
)  # fmt: skip
ON_ONE = (
    "adamw", "accumulation", "averages", "batch_norm",
    "batch_norm_last_of_one", "all_together", "layer_decay",
)  # fmt: skip
_OURS = (
    "class_weights", "l2", "scaled", "float16", "examples", "factor",
    "adapted", "taught",
)  # fmt: skip


def _data(case: dict) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    count = case.get("examples", 57)
    inputs = generator.normal(size=[count, 6]).astype("float32")
    if case.get("scaled"):
        # In the second batch, with the first replica: the loss is finite, the
        # scaled one, or its gradient in float16, is not.
        inputs[17] = 1e3 if case.get("float16") else 1e6
    labels = np.eye(3, dtype="float32")[generator.integers(0, 3, count)]
    if case.get("taught"):
        # Label, logits of a teacher, its share in the loss; no unlabeled ones.
        logits = generator.normal(scale=3, size=[count, 3])
        share = generator.uniform(size=[count, 1]) * [[1, 0]]
        labels = np.concatenate([labels, logits, share], axis=1)
    return inputs, labels.astype("float32")


def _model(case: dict) -> keras.Model:
    keras.utils.set_random_seed(1)
    layers = [
        keras.Input([6]),
        keras.layers.Dense(
            8, "relu", kernel_regularizer=keras.regularizers.L2(
                case.get("l2", 0.0)
            ),
        ),
    ]  # fmt: skip
    if case.get("sync_batch_norm"):
        layers.append(keras.layers.BatchNormalization(momentum=0.5))
    made = keras.Sequential([*layers, keras.layers.Dense(3)])
    model = keras.Model(made.inputs[0], made.outputs[0])
    return _adapt(model) if case.get("adapted") else model


def _adapt(model: keras.Model) -> keras.Model:
    """Returns the model with an adapter of its first dense layer."""
    layer = model.layers[1]
    layer.trainable = False
    site = carrier.Site(
        owner=layer.name, layer=layer, place=0, feeds_batch_norm=False, seed=1
    )
    changes = lora.adapt_layer(site, model_options.ModelOptions())
    return carrier.build_trainer(model, carrier.Adapter(model, changes))


def _compiled(case: dict, *, plain: bool) -> keras.Model:
    fields = {k: v for k, v in case.items() if k not in _OURS}
    chosen = training_options.TrainingOptions(
        learning_rate=0.05, schedule="constant", warmup_fraction=0.0, **fields
    )
    model = _model(case)
    if not plain:
        steps = chosen.gradient_accumulation_steps
        model = train_step.Trainer.from_model(model, micro_batches=steps)
    plan = optimizers.make_schedule(chosen, steps_per_epoch=4)
    optimizer = optimizers.build_optimizer(
        chosen, plan, adapted=_adapted(model, case), sums=not plain
    )
    if case.get("scaled"):
        optimizer = keras.optimizers.LossScaleOptimizer(
            optimizer, initial_scale=2**15 if case.get("float16") else 1e36
        )
    model.compile(
        optimizer=optimizer,
        loss=_make_loss(case),
        metrics=_make_metrics(case),
        jit_compile=False,
    )
    return model


def _make_loss(case: dict) -> keras.losses.Loss:
    loss = network.ClassificationLoss(
        "cross_entropy", class_weights=case.get("class_weights")
    )
    if not case.get("taught"):
        return loss
    return distillation.DistillationLoss(
        loss, kind="dist", temperature=2.0, exclusive=True
    )


def _make_metrics(case: dict) -> list[keras.metrics.Metric]:
    metrics = [
        keras.metrics.CategoricalAccuracy(name="accuracy"),
        keras.metrics.AUC(from_logits=True, name="auc"),
    ]
    if not case.get("taught"):
        return metrics
    return [distillation.LabelMetric(each) for each in metrics]


def _adapted(model: keras.Model, case: dict) -> method.Adapted | None:
    """Returns an adaptation whose only layer has a learning rate of its own."""
    if "factor" not in case:
        return None
    first = next(layer for layer in model.layers if layer.weights)
    return method.Adapted(
        trained={first.name: first.trainable_variables},
        learning_rate_factors={first.name: case["factor"]},
        description="",
        build_trainer=lambda network: network,
        merge=lambda: None,
    )


def _run(case: dict, strategy, *, plain: bool) -> dict:
    scope = strategy.scope if strategy else contextlib.nullcontext
    with scope(), tempfile.TemporaryDirectory() as folder:
        if case.get("float16") and not plain and _shares_folders(strategy):
            # In two pieces: what is scaled, and by how much, is kept.
            _fit(case, folder=pathlib.Path(folder), epochs=1, plain=plain)
        model, outcome = _fit(
            case, folder=pathlib.Path(folder), epochs=_EPOCHS, plain=plain
        )
    return {
        "weights": [np.array(each).tolist() for each in model.weights],
        "state": [
            np.array(each).astype("float64").tolist()
            for each in model.optimizer.variables
        ],
        "rows": outcome.rows,
    }


def _shares_folders(strategy) -> bool:
    return strategy is None or replicas.find_worker(strategy)[1] == 1


def _fit(
    case: dict, *, folder: pathlib.Path, epochs: int, plain: bool
) -> tuple[keras.Model, fit.Outcome]:
    inputs, targets = _data(case)
    batches = tf.data.Dataset.from_tensor_slices((inputs, targets))
    judged = tf.data.Dataset.from_tensor_slices((inputs[20:], targets[20:]))
    model = _compiled(case, plain=plain)
    wanted = bool(case.get("sync_batch_norm")) and not plain
    numbers = itertools.count()  # The last epoch is kept.
    stage = stages.FitStage(
        name="case",
        epochs=epochs,
        steps_per_epoch=-(-len(inputs) // _BATCH),
        batches=lambda epoch, step: batches.batch(_BATCH).repeat(_EPOCHS),
        validation=judged.take(10).batch(9),
        rank=lambda row: (float(next(numbers)),),
        averages=stages.EmaCallback() if "ema_momentum" in case else None,
        folder=folder if case.get("float16") else None,
    )
    policy = "mixed_float16" if case.get("float16") else "float32"
    with (
        device_settings.apply_policy(model, policy),
        replicas.synchronize_batch_norms(model, wanted=wanted),
    ):
        return model, fit.fit(model, stage)


def _masks(strategy) -> list:
    """Returns what dropout leaves of ones on each replica."""
    with strategy.scope():
        inputs = keras.Input([64])
        model = train_step.Trainer(
            inputs, keras.layers.Dropout(0.5, seed=3)(inputs)
        )

        def call():
            return model(tf.ones([1, 64]), training=True)

        with replicas.separate_seeds(model):
            found = tf.function(lambda: strategy.run(call))()
    return [
        each.numpy().tolist()
        for each in strategy.experimental_local_results(found)
    ]


def _solved_head(strategy) -> list:
    """Returns a head with a hidden layer, trained beside the strategy."""
    inputs, targets = _data({})
    names = [f"{number:064x}" for number in range(len(inputs))]
    loss = network.ClassificationLoss("cross_entropy")
    head_fit._MIN_STEPS = 40  # Of four trainings each.
    with tempfile.TemporaryDirectory() as folder:
        store = stores.Store(
            pathlib.Path(folder), width=inputs.shape[1], dtype="float32"
        )
        store.put(names, inputs)
        with strategy.scope() if strategy else contextlib.nullcontext():
            built = _model({})
        solved = head_fit.solve_or_train(
            problems.Problem(
                model=head_stage.copy_to_one_device(built, strategy),
                solver="steps",
                features=store.rows(names),
                layout=batches.RowLayout(shapes=(inputs.shape[1:],)),
                targets=target_rows.ArrayTargets(targets),
                loss=loss,
                judged_by=loss,
                groups=names,
                config=options.from_keywords(
                    train_config.TrainConfig, {"head": "mlp"}
                ),
            )
        )
        head_fit.set_solution(built, solved)
    return [np.array(each).tolist() for each in built.weights]


def main(kind: str, *names: str) -> None:
    """Runs the cases."""
    # Workers that wait for each other for ever say where.
    if kind == "multi_worker":
        faulthandler.dump_traceback_later(500, exit=True)
    strategy = None
    if kind == "mirrored":
        cpus = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(
            cpus[0], [tf.config.LogicalDeviceConfiguration()] * 2
        )
        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    elif kind == "multi_worker":
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
        names = [name for name in names if name in IN_WORKERS]
    found = {
        name: _run(CASES[name], strategy, plain=kind == "one") for name in names
    }
    if kind == "one":
        for name in [name for name in ON_ONE if name in names]:
            found[f"{name}/trainer"] = _run(CASES[name], None, plain=False)
    if "float16" in names:
        found |= _beside_the_cases(kind, strategy)
    print(json.dumps(found))


def _beside_the_cases(kind: str, strategy) -> dict:
    """Returns what every check computes once."""
    found = {}
    if kind == "one":
        # Half precision sums each piece by itself.
        pieces = {**CASES["float16"], "gradient_accumulation_steps": 2}
        found["float16/pieces"] = _run(pieces, None, plain=False)
    if kind != "multi_worker":
        found["head"] = {"weights": _solved_head(strategy), "rows": []}
    if strategy:
        found["masks"] = _masks(strategy)
    return found


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # As in the test that starts this.
    is_off = os.environ.get("TF_FINETUNE_OPTIMIZE_GRAPHS") == "0"
    tf.config.optimizer.set_experimental_options(
        {"disable_meta_optimizer": is_off}
    )
    main(*sys.argv[1:])
