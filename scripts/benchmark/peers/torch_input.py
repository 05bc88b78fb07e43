"""The peer: `DataLoader` with Pillow in two worker processes.

python torch_input.py FOLDER none|light [PASSES]
"""

import json
import pathlib
import sys
import time

import torch_head
from torch.utils import data as torch_data


def main(folder: str, level: str, passes: str = "3") -> None:
    """Prints pictures per second; "light" flips only, cheaper than ours."""
    pictures = torch_head.Pictures(pathlib.Path(folder), flip=level == "light")
    batches = torch_data.DataLoader(
        pictures,
        batch_size=32,
        shuffle=True,
        num_workers=2,
        persistent_workers=True,
    )
    next(iter(batches))
    start, count = time.perf_counter(), 0
    for _ in range(int(passes)):
        for images, _ in batches:
            count += len(images)
    print(json.dumps({"rate": count / (time.perf_counter() - start)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
