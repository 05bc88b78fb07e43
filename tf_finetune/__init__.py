"""Transfer learning on pictures with Keras 3 and TensorFlow.

Example:
    import tf_finetune as tff

    run = tff.fine_tune(data="flowers/", backbone="resnet50", epochs=5)
    print(run.evaluation["validation"]["accuracy"])

Importing this package imports no TensorFlow; the first call does.
"""

import importlib
from typing import Any

from tf_finetune.version import VERSION as __version__

_PUBLIC = {
    "fine_tune": "tf_finetune.workflow",
    "evaluate": "tf_finetune.workflow",
    "predict": "tf_finetune.workflow",
    "export": "tf_finetune.workflow",
    "serve": "tf_finetune.serving.starting",
    "start_server": "tf_finetune.serving.starting",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
