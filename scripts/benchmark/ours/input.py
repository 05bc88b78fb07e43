"""Measures the input pipeline of this package.

python input.py FOLDER none|light [PASSES]
"""

import json
import pathlib
import sys
import time

from tf_finetune import environment


def main(folder: str, level: str, passes: str = "3") -> None:
    """Prints pictures per second, decoded, augmented and shuffled."""
    environment.start_tensorflow()
    import numpy as np

    from tf_finetune.config import picture_options
    from tf_finetune.data import epoch_order, pipeline, split_targets

    paths = [
        str(path)
        for path in sorted(pathlib.Path(folder).glob("*/*"))
        if path.suffix.lower() in (".jpg", ".jpeg", ".png")
    ]
    batches = pipeline.build_training_batches(
        paths,
        split_targets.ArrayTargets(np.zeros([len(paths), 1])),
        epoch_order.BatchOrder(batch_size=32, seed=0, epochs=int(passes) + 1),
        picture_options.Square(224),
        augmentation=level,
    )
    count = 0
    for number, (images, _) in enumerate(batches):
        if number == 1:
            start = time.perf_counter()
        count += len(images) if number else 0
    print(json.dumps({"rate": count / (time.perf_counter() - start)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
