"""Command line of the peers of the accuracy benchmark.

It imports nothing that takes time: the measured time begins before it.
"""

import argparse


def read_flags() -> argparse.Namespace:
    """Reads data, backbone, weights and output, and three options.

    Returns:
        `data` (a folder with train/, val/ and test/), `backbone`, `weights`,
        `output` (the .npz file to write), `image_size` in pixels, `seed` and
        `seconds` of wall time.
    """
    parser = argparse.ArgumentParser()
    for name in ("data", "backbone", "weights", "output"):
        parser.add_argument(name)
    parser.add_argument("--image_size", type=int, default=224)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, required=True)
    return parser.parse_args()
