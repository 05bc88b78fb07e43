"""Transfer learning on pictures with Keras 3 and TensorFlow.

Example:
    import tf_finetune as tff

    run = tff.fine_tune(data="flowers/", backbone="resnet50", epochs=5)
    print(run.evaluation["validation"]["accuracy"])

Importing this package imports no TensorFlow; the first call does.
"""

import importlib
import sys
from typing import Any

from tf_finetune.version import VERSION as __version__

_PUBLIC = {
    "fine_tune": "tf_finetune.workflow",
    "evaluate": "tf_finetune.finished_workflow",
    "predict": "tf_finetune.finished_workflow",
    "export": "tf_finetune.finished_workflow",
    "recommend": "tf_finetune.recommendation.recommend",
    "recipe": "tf_finetune.recipe_search.command",
    "tune": "tf_finetune.tuning.tune",
    "load_run": "tf_finetune.run",
    "serve": "tf_finetune.serving.startup",
    "start_server": "tf_finetune.serving.startup",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)


def _is_program() -> bool:
    """Tells if this is imported by `python -m tf_finetune.COMMAND`.

    While Python imports the package of the module that it is to run, its
    first argument is "-m"; programs of more parts than a command are ours.
    """
    if sys.argv[:1] != ["-m"] or "-m" not in sys.orig_argv:
        return False
    _, *rest = sys.orig_argv[sys.orig_argv.index("-m") :]
    name, *parts = rest[0].split(".")
    return name == __name__ and len(parts) < 2


if _is_program():
    # A program that is stopped while it loads prints one sentence. Where the
    # package is imported as a library, signal handlers are left alone.
    from tf_finetune import shutdown

    shutdown.exit_on_signals()
