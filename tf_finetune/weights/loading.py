"""Builds the requested backbone: network, then weights, then surgery.

In this order, since weights files are those of whole networks for RGB. The
weights of an earlier run with the same surgery fit the changed network; those
are loaded after surgery.
"""

import contextlib
import dataclasses
import importlib.resources
import pathlib
from collections.abc import Iterator

from absl import logging

from tf_finetune import errors
from tf_finetune.backbones import backbone as backbones
from tf_finetune.backbones import build
from tf_finetune.backbones.surgery import surgery_steps
from tf_finetune.config import model_options
from tf_finetune.untrusted import keras_files
from tf_finetune.weights import (
    efficientnet_rescaling,
    feature_parity,
    imagenet_weights,
    merge_report,
    network_search,
    packaged_weights,
    preprocessing,
    saved_weights,
    weight_merge,
    weights_file,
    weights_source,
)
from tf_finetune.weights.torch import torch_weights

# Flags of surgery that change the layers of a backbone, and their defaults.
_FLAGS = {"cut_at": "none", "norm": "keep", "input_channels": "3"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoadedWeights:
    """Record of weights that were loaded into a backbone.

    Attributes:
        source: The value of `--weights`.
        path: The file that was read.
        sha256: Hash of that file, hexadecimal.
        report: Layers that matched, and those that did not.
        origin: Text for the plan: the graph that a PyTorch file needs, or the
            network that the weights were taken from; else "".
    """

    source: str
    path: pathlib.Path
    sha256: str
    report: merge_report.MergeReport
    origin: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PretrainedBackbone:
    """Backbone with its weights, after surgery on its layers.

    Attributes:
        backbone: The changed backbone.
        loaded: Record of its weights; None if they are random.
        changes: Changes that surgery made.
    """

    backbone: backbones.Backbone
    loaded: LoadedWeights | None
    changes: tuple[surgery_steps.Change, ...]


def load(backbone: backbones.Backbone, weights: str) -> LoadedWeights | None:
    """Loads weights into the variables of a newly built backbone.

    Its preprocessing is set to that of the file's model, if the file has one.

    Args:
        backbone: Changed in place.
        weights: "imagenet", "none", a name in `spec.bundled_weights`, or the
            path of a .h5, .weights.h5, .keras or PyTorch file or of an earlier
            workdir, which "::" and the name of a part of it may follow.

    Returns:
        A record of the loaded weights; None for "none", which leaves them
        random.

    Raises:
        UsageError: There are no such weights, or they are those of another
            backbone.
        RunError: They cannot be read, downloaded or matched, or the file's own
            graph computes other features with them.
    """
    if weights == "none":
        return None
    weights_source.check_weights(backbone.spec, weights)
    with _open_source(backbone, weights) as source:
        if weights_file.detect_kind(source.path) == "torch":
            return _load_torch(backbone, weights, source)
        file = saved_weights.select_part(
            weights_file.read_weights(source.path), source.part
        )
        if backbone.spec.torch_rules or "+" in (file.backbone or ""):
            torch_weights.check_graph(backbone.spec, file)
        _check_alpha(backbone, file, source.path)
        report = _merge_weights(backbone, file)
    report = _adopt_preprocessing(backbone, file, report, weights)
    log = logging.info if report.clean else logging.warning
    log("Weights of %s: %s.", file.path, report.summary())
    for note in report.notes:
        logging.warning("%s", note)
    if file.graph is not None and (
        compared := feature_parity.check_features(backbone, file, report)
    ):
        logging.info("%s", compared)
    return LoadedWeights(
        source=weights, path=file.path, sha256=file.sha256, report=report
    )


def build_pretrained(
    options: model_options.ModelOptions, weights: str
) -> PretrainedBackbone:
    """Builds a backbone, loads `weights` (see `load`) and applies surgery.

    Raises:
        UsageError: A name is unknown, the image is too small, the weights are
            those of another network, or surgery is impossible.
        RunError: Weights cannot be downloaded, read or matched.
    """
    whole = build.build(
        options.backbone,
        image_size=options.image_size,
        preprocessing=options.preprocessing,
    )
    is_operated = _has_same_surgery(options, weights)
    loaded = None if is_operated else load(whole, weights)
    backbone, changes = whole, ()
    if options.surgery.changes_backbone or whole.spec.squeeze_excite:
        operated = surgery_steps.apply_surgery(whole, options.surgery)
        backbone, changes = operated.backbone, operated.changes
    if is_operated:
        loaded = load(backbone, weights)
    return PretrainedBackbone(backbone=backbone, loaded=loaded, changes=changes)


def _adopt_preprocessing(
    backbone: backbones.Backbone,
    file: saved_weights.SavedWeights,
    report: merge_report.MergeReport,
    weights: str,
) -> merge_report.MergeReport:
    """Makes a backbone scale pictures as the file's model does."""
    # Before the preprocessing is measured: it changes the Normalization.
    if efficientnet_rescaling.TWO_GRAPHS.fullmatch(
        backbone.spec.name
    ) and efficientnet_rescaling.fold_rescaling(
        backbone.model,
        file,
        matched=report.matched,
        published=weights == "imagenet",
    ):
        logging.info(
            "%s belongs to the graph with one more Rescaling layer; its factor "
            "was moved into the input's Normalization.",
            file.path,
        )
    if file.config is not None or not report.complete:
        return preprocessing.adopt_scaling(backbone, file, report)
    # Arrays alone that fill the whole network say it in a record, if at all.
    if found := keras_files.read_scaling(file.path):
        return preprocessing.adopt_record(backbone, file, report, found)
    return report


def _load_torch(
    backbone: backbones.Backbone,
    weights: str,
    source: weights_source.WeightsSource,
) -> LoadedWeights:
    file, report = torch_weights.load(backbone, source.path, part=source.part)
    logging.info("Weights of %s: %s.", file.path, report.summary())
    graph = torch_weights.describe_graph(backbone.spec, file.path)
    logging.info("%s", graph)
    return LoadedWeights(
        source=weights,
        path=file.path,
        sha256=file.sha256,
        report=report,
        origin=graph,
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
            name = backbone.spec.name_width(alpha)
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
) -> Iterator[weights_source.WeightsSource]:
    """Yields the weights file, which may exist only within the block."""
    bundled = dict(backbone.spec.bundled_weights)
    if weights in bundled:
        folder = importlib.resources.files("tf_finetune.backbones") / "assets"
        with importlib.resources.as_file(folder / bundled[weights]) as path:
            yield weights_source.WeightsSource(path=path)
    elif weights == "imagenet" and backbone.spec.weights_package:
        path = packaged_weights.find_file(backbone.spec)
        yield weights_source.WeightsSource(path=path)
    elif weights == "imagenet":
        path = imagenet_weights.fetch_weights(
            backbone.spec, alpha=backbone.alpha, image_size=backbone.image_size
        )
        yield weights_source.WeightsSource(path=path)
    else:
        yield weights_source.parse_source(weights)


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


def _has_same_surgery(
    options: model_options.ModelOptions, weights: str
) -> bool:
    """Returns whether a run of the same surgery gave them; refuses another."""
    path = weights_source.parse_source(weights).path
    if weights in ("none", "imagenet") or not (path / "run.flags").is_file():
        return False
    flags = weights_file.read_flags(path)
    theirs = {name: flags.get(name, usual) for name, usual in _FLAGS.items()}
    theirs["se"] = str(flags.get("backbone", "").endswith("+se"))
    if theirs == {**_FLAGS, "se": "False"}:
        return False
    ours = {
        name: str(getattr(options.surgery, name) or "none") for name in _FLAGS
    }
    ours["se"] = str(options.backbone.endswith("+se"))
    if ours != theirs:
        flags = " ".join(
            f"--{name}={value}"
            for name, value in theirs.items()
            if name != "se" and value != _FLAGS[name]
        )
        raise errors.UsageError(
            f"--weights={weights} is a run with other flags of surgery than "
            "are given here. Give the flags of that run: "
            f"--backbone={weights_file.read_backbone(path)} {flags}".rstrip()
            + "."
        )
    return True
