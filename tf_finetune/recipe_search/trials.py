"""Trials of a recipe: fits of a run, each from the same solved head."""

import contextlib
import dataclasses
import pathlib
import re
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import logging
from scipy import special

from tf_finetune import errors
from tf_finetune.adaptation import method
from tf_finetune.config import options, train_config
from tf_finetune.data import scan
from tf_finetune.feature_cache import store as stores
from tf_finetune.model import assembly
from tf_finetune.recipe_search import candidates, facts, held_out, share_choice
from tf_finetune.runs import (
    boundary_activations,
    cache_choice,
    fine_tune_stage,
    head_stage,
    results,
    run_preparation,
    train,
)
from tf_finetune.runs import context as contexts
from tf_finetune.solvers import head_problem
from tf_finetune.training import head_fit
from tf_finetune.transferability import nearest_neighbors
from tf_finetune.workdir import workdir_files

# Pictures whose neighbors are found: all similarities take seconds for more.
_MOST_NEIGHBORS = 5000


class TrialNetwork:
    """Network that is prepared once and fine-tuned once for each candidate.

    Args:
        config: Options of the run, `trainable` that of the candidates.
        inspected: Pictures whose headers were read.
        folder: Folder for the workdirs of network and trials; made if needed.
        held: Exit stack that keeps cache entries from being evicted.
        largest_batch: Largest batch size that fits into memory; None
            without `--batch_size=auto`.
        holds_out: Whether trials are judged on training pictures, too.
        shares: Values of `--interpolate` that trials are judged at.
    """

    def __init__(
        self,
        config: train_config.TrainConfig,
        inspected: scan.InspectedPictures,
        folder: pathlib.Path,
        held: contextlib.ExitStack,
        *,
        largest_batch: int | None,
        holds_out: bool,
        shares: Sequence[float],
    ) -> None:
        """Builds the network, computes its features and solves the head."""
        self._shares = shares
        self._folder = folder
        layers = ",".join(config.model.trainable)
        # It records choices that hold for these layers.
        place = workdir_files.Workdir(folder / re.sub(r"[^\w.]+", "-", layers))
        place.checkpoints.mkdir(parents=True, exist_ok=True)
        context = run_preparation.prepare_run(
            config, inspected, place, held, largest_batch
        )
        # Before anything is trained, as in a run without trials.
        results.check_reference_run(context)
        if holds_out:
            data = held_out.hold_out(context.data, config.seed)
            context = dataclasses.replace(context, data=data)
        self._context = context
        self._features = train.extract_features(
            context, with_activations=False
        )["train"]
        # Before the head is fitted, for --head_init=random.
        self._fresh = assembly.copy_values(context.assembly.head.weights)
        # The states of random generators, too: a trial does as a run does.
        self._states = context.assembly.model.variables
        head = context.assembly.head
        self._solution = head_stage.solve_head(context, self._features)
        head_fit.set_solution(head, self._solution)
        # Fine-tuning may start from a head that is not the probe.
        self._probe = assembly.copy_values(self._states)
        self._activations: boundary_activations.BoundaryActivations | None = (
            None
        )
        self._reads_cache: bool | None = None

    def measure_probe(self) -> facts.ProbeFacts:
        """Computes cross-validated figures of probe and nearest neighbors."""
        context = self._context
        pictures = context.data.split("train")
        labels = np.asarray(context.data.class_indices(pictures))
        log_loss, accuracy = _judge(self._solution.out_of_fold, labels)
        return facts.ProbeFacts(
            log_loss=log_loss,
            accuracy=accuracy,
            knn=_measure_neighbors(context, self._features, labels),
            majority=float(np.bincount(labels).max() / len(labels)),
        )

    def measure_costs(self) -> candidates.Costs:
        """Times the loading and the forward pass of a batch of pictures."""
        context, networks = self._context, self._context.networks
        images, load = cache_choice.load_batch(context)
        step = networks.pretrained_step(with_rows=False)
        step(images)  # Compiled, and the cores are warm.
        start = time.perf_counter()
        np.asarray(step(images).features)
        seconds = time.perf_counter() - start
        missing, share = 0, 0.0
        if networks.boundary is not None:
            share = networks.boundary.frozen_share
            rows = context.cache.open_activations("float16")
            needed = boundary_activations.count_missing_bytes(context)
            missing = round(needed / rows.row_bytes)
        return candidates.Costs(
            load=load,
            forward=seconds / len(images),
            frozen_share=share,
            missing_views=missing,
        )

    def run(self, candidate: candidates.Candidate) -> candidates.Trial:
        """Fine-tunes from the solved head and evaluates on validation.

        A trial that was interrupted resumes from its checkpoint. Its workdir,
        `candidate.folder_name` in the folder of all trials, is left there.

        Args:
            candidate: Settings with the `trainable` of this network.

        Returns:
            The trial; its log loss is NaN where training diverged.
        """
        self._choose_input()
        context = self._make_context(candidate)
        start = time.monotonic()
        figures = self._measure(context)
        return candidates.Trial(
            candidate=candidate,
            **figures,
            seconds=round(time.monotonic() - start, 2),
            cache="on" if self._activations else "off",
        )

    def _choose_input(self) -> None:
        """Computes cached activations once, if reading them is faster."""
        if self._reads_cache is not None:
            return
        context = self._context
        self._reads_cache = cache_choice.choose_input(context).reads_cache
        if self._reads_cache:
            train.extract_features(context, with_activations=True)
            self._activations = boundary_activations.compute_activations(
                context
            )

    def _make_context(
        self, candidate: candidates.Candidate
    ) -> contexts.RunContext:
        context = self._context
        config = options.replace(
            context.config,
            learning_rate=candidate.learning_rate
            or context.config.training.learning_rate,
            layer_decay=candidate.layer_decay,
            interpolate=1.0,
        )
        place = workdir_files.Workdir(self._folder / candidate.folder_name)
        place.checkpoints.mkdir(parents=True, exist_ok=True)
        adapt = method.get_method(config.model.adaptation)
        with context.strategy.scope():
            adapted = adapt(context.assembly, config.model)
        return dataclasses.replace(
            context,
            config=config,
            adapted=adapted,
            place=place,
            shared=place,
        )

    def _measure(self, context: contexts.RunContext) -> dict[str, Any]:
        """Fine-tunes and returns the figures of a `candidates.Trial`."""
        built, solution = context.assembly, self._solution
        assembly.assign_values(self._states, self._probe)
        is_fresh = context.config.training.head_init == "random"
        start = self._fresh if is_fresh else solution.start or solution.weights
        assembly.assign_values(built.head.weights, start)
        begun = assembly.copy_values(built.model.weights)
        try:
            fine_tune_stage.fine_tune(context, None, self._activations)
        except errors.DivergenceError as error:
            logging.warning("The trial diverged: %s", error)
            return dict(share_choice.DIVERGED)
        return share_choice.judge_shares(
            context, self._activations, begun, self._shares
        )


def _judge(
    out_of_fold: np.ndarray | None, labels: np.ndarray
) -> tuple[float | None, float | None]:
    """Returns log loss and accuracy of cross-validated logits, if any."""
    if out_of_fold is None:
        return None, None
    # NaN rows: pictures that were in no fold's validation part.
    judged = np.isfinite(out_of_fold).all(axis=1)
    truth, logits = labels[judged], out_of_fold[judged]
    # Cross-entropy -ln p(true class), finite where p underflows to 0.
    losses = -special.log_softmax(logits, axis=1)[np.arange(len(truth)), truth]
    return float(losses.mean()), float((logits.argmax(axis=1) == truth).mean())


def _measure_neighbors(
    context: contexts.RunContext, features: stores.Rows, labels: np.ndarray
) -> float:
    """Returns the accuracy of nearest neighbors, of 5,000 pictures at most."""
    generator = np.random.default_rng(context.config.seed)
    chosen = np.sort(generator.permutation(len(labels))[:_MOST_NEIGHBORS])
    pictures = context.data.split("train")
    rows = features.select(chosen).all()
    with head_problem.limit_threads(rows):
        return nearest_neighbors.compute_accuracy(
            rows,
            labels[chosen],
            groups=[
                pictures[place].group or pictures[place].sha256
                for place in chosen
            ],
        )
