"""Segmentation's decoders stand on what surgery leaves."""

import numpy as np
import pytest

from tf_finetune.config import model_options, options
from tf_finetune.model import assembly
from tf_finetune.tasks import catalog as tasks

_SURGERY = {
    "backbone": "resnet18+se",
    "cut_at": "stage4",
    "norm": "group",
    "input_channels": 1,
}


@pytest.mark.parametrize("head", ["fcn_8s", "deeplab_v3_plus", "unet"])
def test_a_decoder_takes_what_feature_maps_there_are(head, images):
    asked = options.from_keywords(
        model_options.ModelOptions,
        {"image_size": 64, "output_stride": 8, "head": head, **_SURGERY},
    )
    task = tasks.TASKS.get("segmentation")
    built = assembly.build_model(asked, task, ("a", "b", "c"), seed=0)
    assert len(built.changes) == 4
    logits = np.asarray(built.trainer(images))
    assert logits.shape == (2, 64, 64, 3)
    assert np.isfinite(logits).all()
    assert logits.std() > 0
