"""Loads `--weights` into a backbone; the entry point of this package."""

import contextlib
import dataclasses
import importlib.resources
import pathlib
from collections.abc import Iterator

from absl import logging

from tf_finetune import errors
from tf_finetune.backbones import backbone as backbones
from tf_finetune.backbones import build
from tf_finetune.weights import (
    efficientnet_rescaling,
    feature_parity,
    file_parts,
    imagenet_weights,
    merge_report,
    network_search,
    packaged_weights,
    preprocessing,
    saved_weights,
    weight_merge,
    weights_file,
    weights_preflight,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoadedWeights:
    """Source of a backbone's weights, with the report on their merge.

    Attributes:
        source: The value of `--weights`.
        path: The file that was read.
        sha256: Of that file.
        report: Layers that matched, and those that did not.
    """

    source: str
    path: pathlib.Path
    sha256: str
    report: merge_report.MergeReport


def load(backbone: backbones.Backbone, weights: str) -> LoadedWeights | None:
    """Loads weights into a backbone that was just built.

    Args:
        backbone: Its model's variables are assigned.
        weights: "imagenet", "none", a name from `spec.bundled_weights`, or the
            path of a .h5, .weights.h5, .keras file or of an earlier workdir,
            which "::" and the name of a part of it may follow.

    Returns:
        Their source; None for "none", which leaves them random.

    Raises:
        UsageError: No such weights, or those of another backbone.
        RunError: They cannot be read, downloaded or matched, or the file's own
            graph computes other features with them.
    """
    if weights == "none":
        return None
    weights_preflight.check_weights(backbone.spec, weights)
    with _open_source(backbone, weights) as source:
        file = file_parts.select_part(
            weights_file.read_weights(source.path), source.part
        )
        _check_alpha(backbone, file, source.path)
        report = _merge_weights(backbone, file)
    # Before the preprocessing is measured: it changes the Normalization.
    if efficientnet_rescaling.fold_rescaling(
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
    report = preprocessing.adopt_scaling(backbone, file, report)
    log = logging.info if report.clean else logging.warning
    log("Weights of %s: %s.", file.path, report.summary())
    for note in report.notes:
        logging.warning("%s", note)
    compared = feature_parity.check_features(backbone, file, report)
    if compared:
        logging.info("%s", compared)
    return LoadedWeights(
        source=weights, path=file.path, sha256=file.sha256, report=report
    )


def _merge_weights(
    backbone: backbones.Backbone, file: saved_weights.SavedWeights
) -> merge_report.MergeReport:
    """Merges a file; names the fitting width if the file has another one."""
    try:
        return weight_merge.merge(backbone.model, file)
    except weight_merge.ShapeMismatchError as error:
        # Try the published widths, to name the one that fits.
        for alpha in backbone.spec.alphas:
            name = f"{backbone.spec.name}@{alpha:g}"
            if alpha == backbone.alpha or not _is_complete_match(
                name, backbone, file
            ):
                continue
            raise errors.RunError(
                f"{error} They fit --backbone={name}."
            ) from error
        raise


def _is_complete_match(
    name: str, backbone: backbones.Backbone, file: saved_weights.SavedWeights
) -> bool:
    """Returns whether a file holds every layer of another backbone."""
    try:
        other = build.build(name, image_size=backbone.image_size)
    except errors.UsageError:
        return False
    found = network_search.find_network(other.model, file)
    return len(found.matching.pairs) == len(found.view.units)


@contextlib.contextmanager
def _open_source(
    backbone: backbones.Backbone, weights: str
) -> Iterator[file_parts.WeightsSource]:
    """Yields the weights file, which may exist only within the block."""
    bundled = dict(backbone.spec.bundled_weights)
    if weights in bundled:
        folder = importlib.resources.files("tf_finetune.backbones") / "assets"
        with importlib.resources.as_file(folder / bundled[weights]) as path:
            yield file_parts.WeightsSource(path=path)
    elif weights == "imagenet" and backbone.spec.weights_package:
        path = packaged_weights.find_file(backbone.spec)
        yield file_parts.WeightsSource(path=path)
    elif weights == "imagenet":
        path = imagenet_weights.fetch_weights(
            backbone.spec, alpha=backbone.alpha, image_size=backbone.image_size
        )
        yield file_parts.WeightsSource(path=path)
    else:
        yield file_parts.parse_source(weights)


def _check_alpha(
    backbone: backbones.Backbone,
    file: saved_weights.SavedWeights,
    path: pathlib.Path,
) -> None:
    """Raises `UsageError` if an earlier run's backbone had another width."""
    if not file.backbone or backbone.alpha is None:
        return
    # "mobilenet@0.25"; without "@" the width is 1.
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
