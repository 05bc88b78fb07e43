"""Tests of tf_finetune/metrics/mean_iou_metric.py."""

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from tf_finetune.metrics import mean_iou_metric


@pytest.fixture
def batches():
    generator = np.random.default_rng(0)
    masks = generator.choice([0, 1, 255], size=[5, 4, 6]).astype("uint8")
    logits = generator.normal(size=[5, 4, 6, 3]).astype("float32")
    return [(masks[:3], logits[:3]), (masks[3:], logits[3:])]


def _expected(batches):
    masks = np.concatenate([mask for mask, _ in batches])
    predicted = np.concatenate([x for _, x in batches]).argmax(axis=-1)
    counted = masks != 255
    # The class 2 never occurs: it is no part of the mean.
    return sklearn_metrics.jaccard_score(
        masks[counted], predicted[counted], labels=[0, 1], average="macro"
    )


def test_it_is_that_of_all_pixels_so_far(batches):
    metric = mean_iou_metric.MeanIoU(3)
    assert float(metric.result()) == 0
    for masks, logits in batches:
        metric.update_state(masks, logits)
    assert float(metric.result()) == pytest.approx(_expected(batches))
    metric.reset_state()
    metric.update_state(*batches[1])
    assert float(metric.result()) == pytest.approx(_expected(batches[1:]))


_ON_TWO = """
import numpy as np, tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * 2,
)
from tf_finetune.metrics import mean_iou_metric
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    metric = mean_iou_metric.MeanIoU(2)
masks = np.array([[[0, 0, 1, 255]], [[1, 1, 1, 0]]], "uint8")
logits = np.zeros([2, 1, 4, 2], "float32")
@tf.function
def step():
    def add():
        index = tf.distribute.get_replica_context().replica_id_in_sync_group
        ours = [tf.gather(each, [index]) for each in (masks, logits)]
        metric.update_state(*ours)
    strategy.run(add)
step()
print(np.asarray(metric.confusion).tolist())
print(round(float(metric.result()), 4))
"""


@pytest.mark.slow
def test_the_matrices_of_replicas_are_added(start, tmp_path):
    done = start(["-c", _ON_TWO], tmp_path).wait(timeout=300)
    # 3 / 7 of class 0, nothing of class 1.
    expected = "[[3.0, 0.0], [4.0, 0.0]]\n0.2143\n"
    assert done.stdout == expected, done.stderr[-2000:]
