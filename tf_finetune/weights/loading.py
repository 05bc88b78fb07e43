"""The front door of this room: `--weights` put into a backbone."""

import contextlib
import dataclasses
import importlib.resources
import pathlib
from collections.abc import Iterator

from absl import logging

from tf_finetune import errors
from tf_finetune.backbones import backbone as backbones
from tf_finetune.weights import (
    checking,
    efficientnet,
    imagenet,
    merging,
    reading,
    saved,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoadedWeights:
    """Where the weights of a backbone came from.

    Attributes:
        source: As `--weights` said it.
        path: The file that was read.
        sha256: Of that file.
        report: What matched and what did not.
    """

    source: str
    path: pathlib.Path
    sha256: str
    report: merging.MergeReport


def load(backbone: backbones.Backbone, weights: str) -> LoadedWeights | None:
    """Puts weights into a backbone that was just built.

    Args:
        backbone: Its model's variables are assigned.
        weights: "imagenet", "none", a name from `spec.bundled_weights`, or the
            path of a .h5, .weights.h5, .keras file or of an earlier workdir.

    Returns:
        Where they came from; None for "none", which leaves them random.

    Raises:
        UsageError: No such weights, or those of another backbone.
        RunError: They cannot be read, fetched or matched; the backbone is as
            it was.
    """
    if weights == "none":
        return None
    checking.check(backbone.spec, weights)
    with _file(backbone, weights) as path:
        file = reading.read(path)
        _check_alpha(backbone, file, path)
        report = merging.merge(backbone.model, file)
    if efficientnet.adapt(
        backbone.model,
        backbone.spec.name,
        file,
        matched=report.matched,
        published=weights == "imagenet",
    ):
        logging.info(
            "%s belongs to the graph with one more Rescaling layer; its factor "
            "was moved into the input's Normalization.",
            file.path,
        )
    log = logging.info if report.clean else logging.warning
    log("Weights of %s: %s.", file.path, report.summary())
    return LoadedWeights(
        source=weights, path=file.path, sha256=file.sha256, report=report
    )


@contextlib.contextmanager
def _file(backbone: backbones.Backbone, weights: str) -> Iterator[pathlib.Path]:
    """Yields the file, which may exist for the time of the block only."""
    bundled = dict(backbone.spec.bundled_weights)
    if weights in bundled:
        folder = importlib.resources.files("tf_finetune.backbones") / "assets"
        with importlib.resources.as_file(folder / bundled[weights]) as path:
            yield path
    elif weights == "imagenet":
        yield imagenet.fetch(
            backbone.spec, alpha=backbone.alpha, image_size=backbone.image_size
        )
    else:
        yield pathlib.Path(weights).expanduser()


def _check_alpha(
    backbone: backbones.Backbone, file: saved.SavedWeights, path: pathlib.Path
) -> None:
    """Raises `UsageError` if an earlier run's backbone had another width."""
    if not file.backbone or backbone.alpha is None:
        return
    _, _, width = file.backbone.partition("@")
    try:
        same = float(width or 1.0) == backbone.alpha
    except ValueError:  # It was written by somebody else.
        same = False
    if not same:
        raise errors.UsageError(
            f"--weights={path} is a run of --backbone={file.backbone}, but "
            f"--backbone={backbone.spec.name}@{backbone.alpha} was asked for."
        )
