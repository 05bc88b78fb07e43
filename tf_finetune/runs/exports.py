"""Exports of a finished run, each proven on held-out pictures."""

import pathlib
from collections.abc import Callable

import numpy as np

from tf_finetune import files
from tf_finetune.config import use
from tf_finetune.runs import finished
