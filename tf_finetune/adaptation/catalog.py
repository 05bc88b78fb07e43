"""Registry of adaptation methods by name (`method.Method`)."""

from tf_finetune import registry

METHODS = registry.Registry(
    "adaptation method",
    {"freeze": "tf_finetune.adaptation.freeze:adapt"},
)
