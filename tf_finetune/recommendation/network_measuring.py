"""Measures candidates: size, latency, and scores of their features.

A measurement that the cache holds is read, and the network is then not even
built.
"""

import contextlib
import dataclasses
import functools
import pathlib
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from tf_finetune import version
from tf_finetune.adaptation import method
from tf_finetune.config import picture_options, recommend_config
from tf_finetune.data import examples
from tf_finetune.data.images import decoding, verification
from tf_finetune.model import assembly, inference
from tf_finetune.recommendation import (
    candidates,
    feature_scores,
    measurements,
    network_costs,
    picture_choice,
    training_config,
)
from tf_finetune.runs import run_cache
from tf_finetune.tasks import catalog as tasks

# Parameters of open networks, above which all are closed before another opens:
# 2 GB in float32.
_OPEN_PARAMETERS = 5e8


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Network:
    """A built candidate and the cache entry of its features."""

    built: assembly.Assembly
    cache: run_cache.RunCache
    parameters: int


class NetworkMeasuring:
    """Measures candidates on demand and keeps the figures in the cache.

    Args:
        config: Options of the command.
        found: All candidates that may be measured.
        class_names: Class names in the order of class indices.
        held: Keeps feature caches from being deleted until it is closed.
    """

    def __init__(
        self,
        config: recommend_config.RecommendConfig,
        found: Sequence[candidates.Candidate],
        class_names: Sequence[str],
        held: contextlib.ExitStack,
    ) -> None:
        """Reads the cached measurements; builds no network yet."""
        self._config = config
        self._class_names = class_names
        self._held = held
        self._cache_dir = pathlib.Path(config.cache_dir).expanduser()
        self._open: dict[candidates.Candidate, _Network] = {}
        facts = {each: self._list_facts(each) for each in found}
        weights = {each: candidates.hash_weights(each) for each in found}
        make = functools.partial(measurements.MeasurementFile, self._cache_dir)
        self._files = {
            each: make(facts[each] | {"weights": weights[each]})
            for each in found
        }
        # Weights do not change latencies: networks of one graph share a file.
        graphs = {str(known): make(known) for known in facts.values()}
        self._graphs = {each: graphs[str(facts[each])] for each in found}
        self._device = network_costs.describe_device()

    def measure_sizes(
        self, found: Sequence[candidates.Candidate]
    ) -> dict[candidates.Candidate, network_costs.NetworkSize]:
        """Returns the size of each candidate, as cached or counted now."""
        return {each: self._measure_size(each) for each in found}

    def measure_latencies(
        self, found: Sequence[candidates.Candidate]
    ) -> dict[candidates.Candidate, network_costs.NetworkLatency]:
        """Returns latencies on this device by candidate, cached or timed now.

        Those that could not be timed are logged and left out.
        """
        missing = [each for each in found if not self._read_latency(each)]
        # Networks that differ by their weights alone are timed once.
        if networks := {self._graphs[each]: each for each in missing}:
            self._time_networks(networks)
        return {
            each: network_costs.NetworkLatency(**values)
            for each in found
            if (values := self._read_latency(each))
        }

    def _read_latency(self, candidate: candidates.Candidate) -> Any:
        return self._graphs[candidate].get("latency", self._device)

    def _time_networks(
        self,
        networks: Mapping[measurements.MeasurementFile, candidates.Candidate],
    ) -> None:
        """Times one candidate for each file of latencies, and writes them."""
        logging.info(
            "Measuring the latency of %d networks, batch 1 and 32.",
            len(networks),
        )
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            for number, each in enumerate(networks.values()):
                network_costs.write_graph(
                    self._build(each).built.model,
                    each.image_size,
                    folder,
                    f"{number:04d}",
                )
            timed = network_costs.time_graphs(folder)
        for number, file in enumerate(networks):
            if (latency := timed.get(f"{number:04d}")) is not None:
                file.put("latency", self._device, dataclasses.asdict(latency))

    def is_known(
        self,
        candidate: candidates.Candidate,
        pictures: Sequence[examples.Picture],
        *,
        with_probe: bool,
    ) -> bool:
        """Returns whether a candidate's scores on these pictures are cached."""
        name = self._name_scores(pictures, with_probe=with_probe)
        return self._files[candidate].get("scores", name) is not None

    def measure_scores(
        self,
        candidate: candidates.Candidate,
        pictures: Sequence[examples.Picture],
        *,
        pictures_per_class: int,
        with_probe: bool,
    ) -> feature_scores.FeatureScores:
        """Returns the scores of a candidate, as cached or computed now.

        Args:
            candidate: Backbone and weights.
            pictures: Decodable pictures to score on, of every class.
            pictures_per_class: Most of them per class, kept in the result.
            with_probe: Whether the probe is solved.
        """
        name = self._name_scores(pictures, with_probe=with_probe)
        known = self._files[candidate].get("scores", name)
        if known is not None:
            return dataclasses.replace(
                feature_scores.from_json(known),
                pictures_per_class=pictures_per_class,
            )
        # CPU seconds of all threads: other programs do not lengthen them.
        start = time.process_time()
        features = self._compute_features(candidate, pictures)
        spent = time.process_time() - start
        scores = feature_scores.compute_scores(
            features,
            self._index_labels(pictures),
            pictures_per_class=pictures_per_class,
            # A picture without a group is a group of its own.
            groups=[each.group or each.sha256 for each in pictures],
            with_probe=with_probe,
            seed=self._config.seed,
        )
        logging.info(
            "%s, %d pictures: features took %.2f CPU s, LogME and neighbors "
            "%.2f s, the probe %.2f s.",
            candidate.label,
            len(pictures),
            spent,
            scores.score_seconds,
            scores.probe_seconds,
        )
        self._files[candidate].put("scores", name, scores.to_json())
        return scores

    def find_undecodable(
        self, pictures: Sequence[examples.Picture]
    ) -> dict[str, str]:
        """Decodes pictures; returns the reason by path of those that fail."""
        # Whether a picture decodes does not depend on the size.
        size = self._config.image_size or 224
        return verification.decode_pictures(
            pictures,
            cache_dir=self._cache_dir,
            square=picture_options.Square(size, self._config.resize),
        )

    def close(self, candidate: candidates.Candidate) -> None:
        """Frees a candidate's network; later figures would build it again."""
        self._open.pop(candidate, None)

    def close_all(self) -> None:
        """Frees the networks of all candidates; cached figures stay."""
        self._open.clear()

    def read_note(self, candidate: candidates.Candidate, name: str) -> Any:
        """Returns the figures that `write_note` cached, or None."""
        return self._files[candidate].get("fine_tuned", name)

    def write_note(
        self, candidate: candidates.Candidate, name: str, value: Any
    ) -> None:
        """Caches a fine-tuned run's figures; `name` hashes data and config."""
        self._files[candidate].put("fine_tuned", name, value)

    def _measure_size(
        self, candidate: candidates.Candidate
    ) -> network_costs.NetworkSize:
        known = self._files[candidate].get("network", "size")
        if known is None:
            network = self._build(candidate)
            size = network_costs.NetworkSize(
                parameters=network.parameters,
                multiply_adds=network_costs.count_multiply_adds(
                    network.built.backbone.model
                ),
                width=network.built.features.width,
            )
            known = dataclasses.asdict(size)
            self._files[candidate].put("network", "size", known)
        return network_costs.NetworkSize(**known)

    def _build(self, candidate: candidates.Candidate) -> _Network:
        """Builds a candidate, or returns it if it is open."""
        if candidate in self._open:
            return self._open[candidate]
        used = sum(each.parameters for each in self._open.values())
        if used > _OPEN_PARAMETERS:
            self._open.clear()
        config = training_config.make_config(self._config, candidate)
        built = method.build_model(
            config.model,
            tasks.TASKS.get(config.model.task),
            self._class_names,
            config.seed,
            weights=config.model.weights,
        )
        networks = inference.CompiledNetworks(built, None)
        self._open[candidate] = _Network(
            built=built,
            cache=run_cache.RunCache(config, built, networks, self._held),
            parameters=built.backbone.model.count_params(),
        )
        return self._open[candidate]

    def _compute_features(
        self,
        candidate: candidates.Candidate,
        pictures: Sequence[examples.Picture],
    ) -> np.ndarray:
        cache = self._build(candidate).cache
        cache.fill_features(pictures, with_rows=False)
        return cache.features.rows([each.sha256 for each in pictures]).all()

    def _index_labels(self, pictures: Sequence[examples.Picture]) -> np.ndarray:
        index = {name: i for i, name in enumerate(self._class_names)}
        return np.array([index[each.label] for each in pictures])

    def _name_scores(
        self, pictures: Sequence[examples.Picture], *, with_probe: bool
    ) -> str:
        """Returns the name of a measurement of scores."""
        content = picture_choice.hash_pictures(pictures)
        # Of the scores only the probe draws at random: its folds.
        probe = f"probe-{self._config.seed}" if with_probe else "no-probe"
        return f"{content}/{probe}"

    def _list_facts(self, candidate: candidates.Candidate) -> dict[str, Any]:
        """Lists all but the weights that the measurements depend on."""
        model = training_config.make_config(self._config, candidate).model
        return {
            "backbone": model.backbone,
            "preprocessing": model.preprocessing,
            "image_size": candidate.image_size,
            "resize": self._config.resize,
            "pixels": model.pixels.key,
            "decoder": decoding.VERSION,
            "versions": [version.VERSION, tf.__version__, keras.__version__],
        }
