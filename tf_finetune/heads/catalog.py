"""Registry of heads by name."""

from tf_finetune import registry

# Strings, so that a head's module is imported only when it is built.
HEADS = registry.Registry(
    "head",
    {
        "deeplab_v3_plus": "tf_finetune.heads.deeplab:build",
        "fcn_16s": "tf_finetune.heads.fcn:build_16s",
        "fcn_32s": "tf_finetune.heads.fcn:build_32s",
        "fcn_8s": "tf_finetune.heads.fcn:build_8s",
        "linear": "tf_finetune.heads.head:build_linear",
        "mlp": "tf_finetune.heads.head:build_mlp",
        "unet": "tf_finetune.heads.unet:build",
    },
)
