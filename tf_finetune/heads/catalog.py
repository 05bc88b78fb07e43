"""The new tops by name."""

from tf_finetune import registry

HEADS = registry.Registry(
    "head",
    {
        "linear": "tf_finetune.heads.linear:build",
        "mlp": "tf_finetune.heads.mlp:build",
    },
)
