"""Cached outputs of the frozen part of a run's network."""

import contextlib
import copy
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from tf_finetune.config import train_config
from tf_finetune.data import examples
from tf_finetune.data.images import inspection
from tf_finetune.feature_cache import batches, entries, fill
from tf_finetune.feature_cache import store as stores
from tf_finetune.model import assembly, freeze_boundary, inference

# Pictures whose features are computed before they are written.
_NAMES_A_BLOCK = 4096
_GB = 1e9


class RunCache:
    """Feature cache of one run: head inputs and boundary activations on disk.

    Rows are found by the SHA-256 of a picture's content. An entry, the folder
    of a store, belongs to the weights that the model has when it is opened.

    Args:
        config: The config of the run: cache directory, preprocessing, seed.
        built: Its model; the present weights decide which entry is opened.
        networks: That model, compiled.
        held: Exit stack that keeps the opened entries from being evicted
            until it is closed.

    Attributes:
        features: Store of the head's inputs, float32; one row per picture.
    """

    def __init__(
        self,
        config: train_config.TrainConfig,
        built: assembly.Assembly,
        networks: inference.CompiledNetworks,
        held: contextlib.ExitStack,
    ) -> None:
        """Opens the store of the head's inputs."""
        self._config = config
        self._built = built
        self._networks = networks
        self._held = held
        self._square = config.model.make_square(built.backbone.image_size)
        self._crossing: dict[str, stores.Store] = {}
        self.features = self._open_features()

    def refresh(self) -> None:
        """Opens the entries again, to read rows that other processes wrote."""
        # Boundary entries are opened again when they are asked for.
        self._crossing.clear()
        self.features = self._open_features()

    def move_to(self, networks: inference.CompiledNetworks) -> "RunCache":
        """Returns a cache of the same run for another freeze boundary.

        Args:
            networks: The model, split at that boundary; its present weights
                decide which entry is opened.
        """
        other = copy.copy(self)
        other._networks, other._crossing = networks, {}
        return other

    def _open_features(self) -> stores.Store:
        return self._open_store(
            self._built.extractor,
            width=self._built.features.width,
            dtype="float32",
            up_to="features",
        )

    def open_activations(self, dtype: str) -> stores.Store:
        """Opens the store of activations at the freeze boundary.

        Args:
            dtype: "float32" or "float16".

        Returns:
            The store, the same object in later calls until `refresh`; the
            network must have a freeze boundary.
        """
        cut = self._networks.boundary
        # float32 and float16 rows are entries of their own.
        if dtype not in self._crossing:
            self._crossing[dtype] = self._open_store(
                cut.build_prefix(),
                width=cut.width,
                dtype=dtype,
                # Names of the layers whose outputs are kept.
                up_to=", ".join(cut.names),
            )
        return self._crossing[dtype]

    def make_room(self, needed_bytes: int) -> bool:
        """Evicts the longest unused features of other runs until bytes fit.

        Entries that this or another running process holds open stay.

        Args:
            needed_bytes: Size of the rows to be added.

        Returns:
            Whether they fit now, within `--cache_gb` and on the disk.
        """
        output = self._config.output
        # --cache_gb counts gigabytes of 10⁹ bytes, as disks do.
        return entries.evict_features(
            output.cache_folder,
            needed_bytes,
            limit_bytes=output.cache_gb * _GB,
        )

    def fill_features(
        self, pictures: Sequence[examples.Picture], *, with_rows: bool
    ) -> None:
        """Computes the rows that the cache lacks, of the unaugmented pictures.

        Args:
            pictures: Pictures of any split, or unlabeled ones.
            with_rows: Whether activations at the freeze boundary are computed
                in the same pass as the head's inputs.
        """
        names = [picture.sha256 for picture in pictures]
        rows = self.open_activations("float32") if with_rows else None
        # All activations are there: the network above them is enough.
        if rows and not rows.missing(names):
            self._fill_from_activations(rows, self.features.missing(names))

        def network(images: tf.Tensor) -> list[tf.Tensor]:
            step = self._networks.pretrained_step(with_rows=with_rows)
            return step(images).tensors

        into = [self.features, *([rows] if rows else [])]
        # View 0 is the picture unaugmented.
        wanted = self.list_views(0, pictures)
        self._fill(into, network, wanted, pictures, "Features")

    def fill_activations(self, pictures: Sequence[examples.Picture]) -> None:
        """Computes the boundary activations that the cache lacks, as float32.

        Args:
            pictures: Pictures of any split, which are not augmented.
        """

        def network(images: tf.Tensor) -> list[tf.Tensor]:
            return [self._networks.compute_activations(images)]

        rows = self.open_activations("float32")
        wanted = self.list_views(0, pictures)
        self._fill([rows], network, wanted, pictures, "Activations")

    def fill_augmented(
        self, pictures: Sequence[examples.Picture], store: stores.Store
    ) -> stores.Rows:
        """Computes the activations of augmented views that a store lacks.

        Args:
            pictures: Pictures of the training split.
            store: Store of activations, as `open_activations` returns it.

        Returns:
            All of these rows: view 1 of every picture, then view 2 of every
            picture, up to `num_views` - 1; view 0 is not among them.
        """
        wanted = [
            view
            for number in range(1, self._config.training.num_views)
            for view in self.list_views(number, pictures)
        ]

        def network(images: tf.Tensor) -> list[tf.Tensor]:
            # Computed in float32 and rounded once, to the dtype of the store.
            return [
                tf.cast(self._networks.compute_activations(images), store.dtype)
            ]

        self._fill([store], network, wanted, pictures, "Augmented views")
        return store.rows([view.name for view in wanted])

    def list_views(
        self, number: int, pictures: Sequence[examples.Picture]
    ) -> list[fill.View]:
        """Lists one view of each picture, with the key of its cached row.

        Args:
            number: 0 for the unaugmented picture, 1 and more for fixed random
                augmentations.
            pictures: The pictures; views come in their order.
        """
        return fill.make_views(
            [picture.path for picture in pictures],
            [picture.sha256 for picture in pictures],
            number=number,
            level=self._config.training.augmentation,
            seed=self._config.seed,
        )

    def _fill_from_activations(
        self, rows: stores.Store, names: Sequence[str]
    ) -> None:
        """Computes features from cached activations, not from pictures.

        It applies where only layers above the boundary have changed since.
        """
        cut = self._networks.boundary
        upper = inference.compile_step(
            cut.build_upper_part(self._built.extractor.outputs)
        )
        for start in range(0, len(names), _NAMES_A_BLOCK):
            block = names[start : start + _NAMES_A_BLOCK]
            inputs = batches.make_ordered_batches(
                rows.rows(block),
                unpack=cut.tensors,
                batch_size=self._config.training.batch_size,
            )
            # Several tensors of a picture lie in one row, one after another.
            flat = self._built.features.flat
            found = [
                flat(keras.tree.flatten(inference.apply_step(upper, each)))
                for each in inputs
            ]
            self.features.put(block, np.concatenate(found))

    def _fill(
        self,
        into: Sequence[stores.Store],
        network: fill.Network,
        wanted: Sequence[fill.View],
        pictures: Sequence[examples.Picture],
        title: str,
    ) -> None:
        picture_of = {picture.path: picture for picture in pictures}
        fill.fill_stores(
            into,
            network,
            wanted,
            square=self._square,
            batch_size=self._config.training.batch_size,
            level=self._config.training.augmentation,
            title=title,
            # A picture that changed would be kept under its old hash.
            check=lambda views: inspection.check_unchanged(
                [picture_of[view.path] for view in views]
            ),
        )

    def _open_store(
        self, model: keras.Model, *, width: int, dtype: str, up_to: str
    ) -> stores.Store:
        """Opens the store of a network's outputs, held until the run ends."""
        square, backbone = self._square, self._config.model.backbone
        key = freeze_boundary.hash_network(model, square)
        folder = self._held.enter_context(
            entries.hold_entry(
                self._config.output.cache_folder,
                # Rows of both dtypes may exist side by side.
                f"{entries.FEATURES}/{key}-{dtype}",
                what=f"{backbone} up to {up_to}, {square.size} pixels, {dtype}",
            )
        )
        return stores.Store(folder, width=width, dtype=dtype)


def split_rows(
    store: stores.Store, data: examples.ImageData
) -> dict[str, stores.Rows]:
    """Returns the cached rows of the unaugmented pictures by split name.

    Args:
        store: Store that has a row of every picture.
        data: Pictures in splits.

    Returns:
        For each split one row per picture, in order, read on demand.

    Raises:
        KeyError: A picture has no row in the store.
    """
    return {
        split: store.rows([each.sha256 for each in data.split(split)])
        for split in data.splits
    }
