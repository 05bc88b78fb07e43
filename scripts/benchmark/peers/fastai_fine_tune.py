"""The peer: fastai's `fine_tune` with its defaults, within a wall time.

One epoch on the head, then all layers with discriminative learning rates and
the one-cycle schedule; `aug_transforms`, mixed in by fastai's own loaders. The
number of epochs is that which fits, from the time of one measured beforehand
on a copy of the network, which does not count.

    python fastai_fine_tune.py DATA BACKBONE WEIGHTS OUTPUT --seconds=60
"""

import copy
import pathlib
import time

_BEGIN = time.perf_counter()

import numpy as np  # noqa: E402  (the measured time includes these)
import recipe_flags  # noqa: E402
import torch  # noqa: E402
import torch_networks  # noqa: E402
from fastai.vision import all as vision  # noqa: E402


def main() -> None:
    """Trains and writes the probabilities of the test pictures."""
    given = recipe_flags.read_flags()
    vision.set_seed(given.seed, reproducible=True)
    data = pathlib.Path(given.data)
    loaders = _make_loaders(data, given.image_size)
    network, width = torch_networks.build_feature_maps(
        given.backbone, given.weights
    )
    head = vision.create_head(width, loaders.c)
    vision.apply_init(head, torch.nn.init.kaiming_normal_)
    start = time.perf_counter()
    trial = _make_learner(
        loaders, copy.deepcopy(torch.nn.Sequential(network, head))
    )
    with trial.no_bar(), trial.no_logging():
        trial.fit_one_cycle(1)
    measuring = time.perf_counter() - start
    left = given.seconds - (start - _BEGIN)
    # `fine_tune` adds an epoch in which the head alone is trained.
    epochs = max(1, int(left / measuring) - 1)
    learner = _make_learner(loaders, torch.nn.Sequential(network, head))
    with learner.no_bar(), learner.no_logging():
        learner.fine_tune(epochs)
        probabilities, labels = _predict(learner, data / "test")
    np.savez(
        given.output,
        probabilities=probabilities,
        labels=labels,
        measuring_seconds=measuring,
    )


def _make_loaders(data: pathlib.Path, image_size: int) -> vision.DataLoaders:
    return vision.ImageDataLoaders.from_folder(
        data,
        train="train",
        valid="val",
        bs=32,
        num_workers=2,
        item_tfms=vision.Resize(image_size),
        batch_tfms=[
            *vision.aug_transforms(),
            # The networks' weights expect [-1, 1].
            vision.Normalize.from_stats([0.5] * 3, [0.5] * 3),
        ],
    )


def _make_learner(
    loaders: vision.DataLoaders, model: torch.nn.Module
) -> vision.Learner:
    learner = vision.Learner(loaders, model, splitter=vision.default_split)
    learner.unfreeze()
    return learner


def _predict(
    learner: vision.Learner, folder: pathlib.Path
) -> tuple[np.ndarray, np.ndarray]:
    """Predicts a folder of class folders: probabilities and labels."""
    files = sorted(vision.get_image_files(folder))
    names = list(learner.dls.vocab)
    labels = np.asarray([names.index(path.parent.name) for path in files])
    loader = learner.dls.test_dl(files)
    probabilities, _ = learner.get_preds(dl=loader)
    return probabilities.numpy(), labels


if __name__ == "__main__":
    main()
