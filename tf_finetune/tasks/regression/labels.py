"""Labels of a regression: one number or several per picture."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging

from tf_finetune import errors
from tf_finetune.config import data_options, train_config
from tf_finetune.data import examples, label_protocol, stratified_split
from tf_finetune.data.tables import file_locator, float32_range

_BINS = 10  # Strata of the first target, at most.
# Units of pictures in a stratum, so that every split gets some of each.
_LEAST_UNITS = 5


class Targets(label_protocol.Labels):
    """Labels of a regression: how numbers, one per column, are handled."""

    sources = ("csv",)
    are_columns = True

    def required_columns(
        self, options: data_options.DataOptions
    ) -> dict[str, tuple[str, ...]]:
        """Returns `{"label_column": names of the targets' columns}`."""
        return {"label_column": options.label_column}

    def read_row(
        self,
        cells: Mapping[str, str],
        where: str,
        files: file_locator.Locator,
        options: data_options.DataOptions,
    ) -> tuple[float, ...]:
        """Parses the numbers of a row, in the order of the label columns.

        `where` names the row in messages; `files` is not used.

        Raises:
            DataError: One of them is not a finite number, or too large for
                float32.
        """
        return tuple(
            float32_range.parse_number(
                cells[column], f"{where}: the target {column!r}"
            )
            for column in options.label_column
        )

    def names(
        self, listing: examples.Listing, options: data_options.DataOptions
    ) -> tuple[str, ...]:
        """Returns the names of the outputs, those of the label columns."""
        return options.label_column

    def add_strata(
        self, pictures: Sequence[examples.Picture], names: Sequence[str]
    ) -> tuple[tuple[examples.Picture, ...], tuple[examples.DroppedFile, ...]]:
        """Copies pictures with a quantile bin as stratum; drops none.

        The strata are bins of the first target, of equal size, ten at most, and
        fewer where there are few pictures. Returns the copies and an empty
        tuple of dropped files.
        """
        if not pictures:
            return tuple(pictures), ()
        first = np.array([picture.label[0] for picture in pictures])
        count = len(stratified_split.join_units(pictures)) // _LEAST_UNITS
        count = int(np.clip(count, 1, _BINS))
        # Many equal values make edges coincide; those are one stratum.
        edges = np.quantile(first, np.linspace(0, 1, count + 1)[1:-1])
        bins = np.searchsorted(np.unique(edges), first, side="right")
        return tuple(
            dataclasses.replace(picture, strata=(f"part {index}",))
            for picture, index in zip(pictures, bins, strict=True)
        ), ()

    def check(self, pictures: Sequence[examples.Picture]) -> None:
        """Checks that there are two pictures and that every target varies.

        Raises:
            DataError: There is a single picture, or a target is constant.
        """
        if len(pictures) < 2:
            raise errors.DataError(
                "The data holds one usable picture; a regression needs at "
                "least two, one to train on and one to check with."
            )
        _check_varies(pictures, "all pictures have the same value")

    def check_divided(self, pictures: Sequence[examples.Picture]) -> None:
        """Checks that the training targets differ, also in float32.

        Raises:
            DataError: A target is constant, or float32 loses its digits.
        """
        training = [each for each in pictures if each.split == "train"]
        _check_varies(training, "all training pictures have the same value")
        # Again: the range of the training split may be narrower than of all.
        for index, values in enumerate(stack_targets(training).T):
            float32_range.check_digits(
                values,
                f"target {index + 1} (in the order of --label_column) of the "
                "training pictures",
            )

    def text(self, label: tuple[float, ...]) -> str:
        """Formats the numbers with all digits, separated by commas."""
        return ", ".join(map(repr, label))

    def describe(self, data: examples.ImageData) -> dict[str, Any]:
        """Returns `{"targets": {split: {target: statistics}}}`.

        Statistics are `count`, `min`, `median`, `max`, `mean`, `deviation`.
        """
        return {"targets": {s: _describe_split(data, s) for s in data.splits}}


LABELS = Targets()


def stack_targets(pictures: Sequence[examples.Picture]) -> np.ndarray:
    """Stacks the targets of n pictures, float64 [n, targets]."""
    return np.array([picture.label for picture in pictures], "float64")


def _check_varies(pictures: Sequence[examples.Picture], how: str) -> None:
    values = stack_targets(pictures)
    for index in range(values.shape[1]):
        if np.ptp(values[:, index]) == 0:
            raise errors.DataError(
                f"Target {index + 1} of {values.shape[1]} (in the order of "
                f"--label_column) is constant: {how}, "
                f"{float32_range.format_number(values[0, index])}. There is "
                "nothing to learn; leave it "
                f"out.{_describe_rounding(values[0, index])}"
            )


def _describe_rounding(value: float) -> str:
    """Returns a hint that float64 may have rounded large numbers."""
    # Up to 2^53 every whole number is exact in float64.
    if abs(value) < 2**53:
        return ""
    return (
        " If its numbers differ in the table, they are too large to be told "
        "apart in double precision: subtract the lowest from all of them there."
    )


def _describe_split(data: examples.ImageData, split: str) -> dict[str, Any]:
    values = stack_targets(data.split(split))
    return {
        name: {
            "count": len(column),
            "min": float(column.min()),
            "median": float(np.median(column)),
            "max": float(column.max()),
            "mean": float(column.mean()),
            "deviation": float(column.std()),
        }
        for name, column in zip(data.class_names, values.T, strict=True)
    }


def check_listed(
    config: train_config.TrainConfig,
    pictures: Sequence[examples.Picture],
    names: Sequence[str],
) -> None:
    """Checks that float32 can distinguish the targets.

    Logs a warning about targets that lie close together.

    Args:
        config: The target range and transform are read.
        pictures: All listed pictures.
        names: Names of the targets.

    Raises:
        DataError: The targets lie too close together for float32 or for the
            logarithm, or --target_range lies too far from them.
    """
    targets = stack_targets(pictures)
    for name, values in zip(names, targets.T, strict=True):
        what = f"the target {name!r}"
        float32_range.check_digits(values, what)
        float32_range.check_bounds(values, config.model.target_range, what)
        if config.training.target_transform == "log":
            _check_logarithm(values, what)
        if warning := float32_range.describe_crowding(values, what):
            logging.warning("%s", warning)


def _check_logarithm(values: np.ndarray, what: str) -> None:
    low, high = float(values.min()), float(values.max())
    if low > 0 and high - low < float32_range.LEAST_LOGGED_SHARE * high:
        raise errors.DataError(
            f"The values of {what} lie between "
            f"{float32_range.format_number(low)} and "
            f"{float32_range.format_number(high)}: so close together that the "
            "logarithm only loses digits. Use --target_transform=none."
        )
