"""Fills the backbone of a run from a relative (`--init_from`)."""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Sequence

import numpy as np
from absl import logging

from tf_finetune import files
from tf_finetune.backbones import backbone as backbones
from tf_finetune.backbones import build
from tf_finetune.config import train_config
from tf_finetune.data import examples, scan
from tf_finetune.data.images import verification
from tf_finetune.exports import export_files
from tf_finetune.feature_cache import entries
from tf_finetune.model import freeze_boundary
from tf_finetune.runs import split_evaluation
from tf_finetune.transplants import transplant
from tf_finetune.weights import loading, weights_source
from tf_finetune.workdir import json_schema

_FOLDER = "transplants"
# Bytes of the largest activation, of all pictures together.
_ACTIVATION_BYTES = 2**29
_MOST_PICTURES, _FEWEST_PICTURES = 128, 16
# To be raised when other weights come out of the same networks.
_VERSION = 1
_TABLE_BYTES = 10**7
_LAYER = json_schema.Record(
    needed={
        "name": json_schema.Text(longest=1000),
        "source": json_schema.Text(longest=1000),
        "kept": json_schema.Number(1, 10**6, True),
        "available": json_schema.Number(1, 10**6, True),
        "unexplained": json_schema.Optional(json_schema.Number(0, 10)),
    }
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FilledBackbone:
    """Weights of a backbone that were taken from a relative.

    A relative is a wider or deeper network of the backbone's family.

    Attributes:
        path: The weights file.
        origin: Value of `--init_from`.
        layers: The layers and where their weights are from.
    """

    path: pathlib.Path
    origin: str
    layers: tuple[transplant.FilledLayer, ...]

    def describe(self, loaded: loading.LoadedWeights) -> loading.LoadedWeights:
        """Returns a copy of `loaded` that names `--init_from` and `layers`."""
        table = transplant.format_table(self.layers)
        return dataclasses.replace(
            loaded,
            source=self.origin,
            origin=f"from {self.origin} (--init_from)\n{table}",
        )


def fill_backbone(
    config: train_config.TrainConfig, inspected: scan.InspectedPictures
) -> FilledBackbone:
    """Fills the backbone of a config from the network of `--init_from`.

    The weights are kept in the cache directory, where a later call with the
    same networks and pictures finds them.

    Args:
        config: The run's config.
        inspected: Pictures whose headers were read; all are decoded, and up to
            128 of the training split are used, without their labels.

    Raises:
        UsageError: The networks are no relatives.
        DataError: Too few pictures can be decoded.
        RunError: Weights cannot be read or matched, or the cache cannot be
            written.
    """
    options = config.model
    target = build.build(
        options.backbone,
        image_size=options.image_size,
        preprocessing=options.preprocessing,
    )
    source = _load_source(config, target.image_size)
    pictures = _list_training_pictures(config, inspected, target.image_size)
    chosen = _choose_pictures(pictures, target, config.seed)
    key = _make_key(config, source, chosen)
    with entries.hold_entry(
        config.output.cache_folder,
        _FOLDER,
        what="weights of networks filled from relatives",
    ) as folder:
        path = folder / f"{key}.weights.h5"
        about = folder / f"{key}.json"
        if not (path.is_file() and about.is_file()):
            layers = _fill(target, source, chosen, config)
            with files.replacing(path) as temporary:
                export_files.save_weights(target.model, temporary, options)
            files.write_json(about, [dataclasses.asdict(e) for e in layers])
        return FilledBackbone(
            path=path, origin=options.init_from, layers=_read_layers(about)
        )


def _load_source(
    config: train_config.TrainConfig, image_size: int
) -> backbones.Backbone:
    """Builds the network of `--init_from` and loads its weights."""
    name, weights = weights_source.parse_origin(config.model.init_from)
    source = build.build(
        name,
        image_size=image_size,
        preprocessing=config.model.preprocessing,
    )
    loading.load(source, weights)
    return source


def _read_layers(path: pathlib.Path) -> tuple[transplant.FilledLayer, ...]:
    """Reads the layers of a filled network, and where their weights are from.

    Args:
        path: JSON file in the cache.
    """
    layers = json_schema.read_json(
        path,
        json_schema.Items(_LAYER),
        within=path.parent,
        limit=_TABLE_BYTES,
        hint="Remove it with `python -m tf_finetune.cache "
        "--clear=transplants`; it is made anew.",
    )
    return tuple(
        transplant.FilledLayer(**{name: each[name] for name in _LAYER.needed})
        for each in layers
    )


def _fill(
    target: backbones.Backbone,
    source: backbones.Backbone,
    pictures: Sequence[examples.Picture],
    config: train_config.TrainConfig,
) -> Sequence[transplant.FilledLayer]:
    """Fills the target from the source on pictures; returns its layers."""
    logging.info(
        "Filling %s from %s on %d pictures.",
        config.model.backbone,
        config.model.init_from,
        len(pictures),
    )
    batches = split_evaluation.load_images(
        pictures, config, image_size=target.image_size
    )
    images = np.concatenate([np.asarray(each) for each in batches])
    return transplant.fill_network(target, source, images, seed=config.seed)


def _list_training_pictures(
    config: train_config.TrainConfig,
    inspected: scan.InspectedPictures,
    image_size: int,
) -> Sequence[examples.Picture]:
    problems = verification.decode_pictures(
        inspected.pictures,
        cache_dir=config.output.cache_folder,
        square=config.model.make_square(image_size),
    )
    data = scan.clean_and_split(
        inspected, problems, config.data, seed=config.seed
    )
    return data.split("train")


def _choose_pictures(
    pictures: Sequence[examples.Picture],
    target: backbones.Backbone,
    seed: int,
) -> list[examples.Picture]:
    """Draws pictures, as many as the repair of `target` holds in memory."""
    largest = max(
        int(np.prod(operation.output.shape[1:]))
        for operation in target.model.operations
    )
    count = _ACTIVATION_BYTES // (4 * largest)
    count = min(max(count, _FEWEST_PICTURES), _MOST_PICTURES)
    # By content, so that other names of the files draw the same ones.
    ordered = sorted(pictures, key=lambda picture: picture.sha256)
    generator = np.random.default_rng(seed)
    return [ordered[i] for i in generator.permutation(len(ordered))[:count]]


def _make_key(
    config: train_config.TrainConfig,
    source: backbones.Backbone,
    pictures: Sequence[examples.Picture],
) -> str:
    """Hashes everything that the weights depend on."""
    network = freeze_boundary.hash_network(
        source.model, config.model.make_square(source.image_size)
    )
    facts = [
        _VERSION,
        network,
        config.model.backbone,
        config.seed,
        [picture.sha256 for picture in pictures],
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]
