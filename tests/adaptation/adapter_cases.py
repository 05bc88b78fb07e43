"""A small network's adapters with drawn numbers, as a run would save them."""

import numpy as np

from tf_finetune.adaptation import adapter_file, adapters
from tf_finetune.config import model_options, options
from tf_finetune.model import assembly
from tf_finetune.tasks import classification

CLASSES = ("a", "b", "c")


def choose_options(**changed) -> model_options.ModelOptions:
    """Returns options of a small network with random weights."""
    given = {
        "backbone": "small_cnn",
        "weights": "none",
        "image_size": 16,
        "adaptation": "lora+norm",
        **changed,
    }
    return options.from_keywords(model_options.ModelOptions, given)


def build_network(chosen: model_options.ModelOptions) -> assembly.Assembly:
    """Builds a network with the random weights of seed 0."""
    return assembly.build_model(chosen, classification.TASK, CLASSES, seed=0)


def draw_adapter(seed: int, **changed) -> adapter_file.SavedAdapter:
    """Draws the numbers of an adapter and of its head.

    Args:
        seed: Seed of the numbers.
        **changed: Options of the network and its adapters.
    """
    chosen = choose_options(**changed)
    built = build_network(chosen)
    adapter = adapters.adapt(built, chosen).adapter
    generator = np.random.default_rng(seed)
    given = options.collect_values(chosen)
    del given["weights"], given["class_names"]
    return adapter_file.SavedAdapter(
        facts={
            "format": adapter_file.FORMAT,
            "version": "0.1.0",
            "base": {
                "sha256": adapter.base_sha256,
                "weights": "none",
                "file": "",
                "seed": 0,
            },
            "model": given,
            "class_names": [*CLASSES],
            "kept": "fine_tune",
            "boundary": [],
            "decision": {},
            "figures": {"test": {"accuracy": 0.75}},
        },
        numbers={
            name: generator.normal(0, 0.1, each.shape).astype("float32")
            for name, each in adapter.numbers.items()
        },
        head=[
            generator.normal(size=each.shape).astype("float32")
            for each in built.head.weights
        ],
    )
