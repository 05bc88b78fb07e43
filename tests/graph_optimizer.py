"""Switches TensorFlow's graph optimizer off where it is no test's subject.

A test traces many graphs and runs each a few times, so that the optimizer takes
19 to 39 % of its CPU seconds (measured folder by folder). Plots, an eighth of a
small run's, are left blank with it. Both stay on, as users have them, in tests
marked `optimizer` or `real`, in one run of each task, in every program that is
not forked, and everywhere if the variable below is 1, as
`scripts/campaigns/optimizer.sh` sets it.
"""

import contextlib
import os
import pathlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

from PIL import Image

VARIABLE = "TF_FINETUNE_OPTIMIZE_GRAPHS"
_ALWAYS = os.environ.get(VARIABLE) == "1"


def switch(*, on: bool) -> None:
    """Switches it for graphs that run from now on, here and in forks."""
    os.environ[VARIABLE] = "1" if on or _ALWAYS else "0"
    # Nothing of it can run before TensorFlow has been imported.
    if "tensorflow" in sys.modules:
        tensorflow = sys.modules["tensorflow"]
        tensorflow.config.optimizer.set_experimental_options(
            {"disable_meta_optimizer": not is_on()}
        )
    plots = sys.modules.get("tf_finetune.drawing.result_plots")
    if plots and plots.save_png.__module__ != __name__:
        plots.save_png = _draw_if_on(plots.save_png)


def _draw_if_on(draw: Callable) -> Callable:
    """Returns what draws a plot only if it is on, else writes a blank one."""

    def save(drawing: Any, path: pathlib.Path) -> None:
        if is_on():
            draw(drawing, path)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("1", (1, 1)).save(path, "png")

    return save


@contextlib.contextmanager
def switched_on() -> Iterator[None]:
    """Opens a block with it: the set-up of what several tests look at."""
    before = is_on()
    switch(on=True)
    try:
        yield
    finally:
        switch(on=before)


def is_on() -> bool:
    """Returns whether graphs are optimized."""
    return os.environ.get(VARIABLE) == "1"
