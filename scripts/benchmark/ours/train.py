"""Measures training of a head by `tff.fine_tune`, with TensorFlow loaded.

python train.py DATA BACKBONE WEIGHTS FOLDER
"""

import json
import sys
import time

import tf_finetune as tff
from tf_finetune import environment


def main(data: str, backbone: str, weights: str, folder: str) -> None:
    """Prints the accuracy and the seconds from call to result."""
    environment.start_tensorflow()
    start = time.perf_counter()
    run = tff.fine_tune(
        data,
        report=lambda text: None,
        backbone=backbone,
        weights=weights,
        trainable="head",
        workdir=f"{folder}/run",
        cache_dir=f"{folder}/cache",
    )
    figures = {
        "accuracy": run.evaluation["validation"]["accuracy"],
        "without_start": time.perf_counter() - start,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(*sys.argv[1:])
