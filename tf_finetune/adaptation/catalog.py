"""Registry of adaptation methods by name (`method.Method`)."""

from tf_finetune import registry

METHODS = registry.Registry(
    "adaptation method",
    {"freeze": "tf_finetune.adaptation.freeze:adapt"},
)

BUILT_IN = METHODS.names()
"""Methods of this package; which options they read is declared below."""

READERS = {
    "freeze_batch_norm": ("freeze",),
    "trainable": ("freeze",),
}
"""Methods by the option they read; other options are read by every method."""
