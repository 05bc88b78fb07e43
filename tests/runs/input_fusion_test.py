"""Tests of tf_finetune/runs/input_fusion.py."""

import subprocess
import sys

import keras
import numpy as np

from tf_finetune.runs import input_fusion
from tf_finetune.tasks.regression import network


def test_a_copy_of_a_network_in_training_is_its_own_and_not_compiled():
    inputs = keras.Input([3])
    model = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    model.compile(loss=network.RegressionLoss("huber"))
    before = model.get_weights()

    copy = input_fusion._copy_model(model)

    assert not copy.compiled
    model.set_weights([np.zeros_like(each) for each in before])
    for kept, expected in zip(copy.get_weights(), before, strict=True):
        np.testing.assert_array_equal(kept, expected)


def test_runs_on_single_pictures_load_neither_inputs_nor_regression():
    # The modules that a classification trains, evaluates and predicts with.
    program = """
import sys
from tf_finetune import finished_workflow, workflow
from tf_finetune.runs import candidates, results, run_preparation, train
from tf_finetune.runs.finished import run_evaluation, run_prediction
from tf_finetune.tasks import catalog
from tf_finetune.solvers import head_problem
catalog.TASKS.get("classification").network
head_problem.SOLVERS.get("logistic")
print(*(m for m in sys.modules if m.startswith(
    ("tf_finetune.inputs", "tf_finetune.tasks.regression"))))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True
    )
    assert (done.stdout.strip(), done.returncode) == ("", 0), done.stderr
