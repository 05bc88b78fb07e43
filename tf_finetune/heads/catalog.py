"""Registry of heads by name."""

from tf_finetune import registry

# Strings, so that a head's module is imported only when it is built.
HEADS = registry.Registry(
    "head",
    {
        "deeplab_v3_plus": "tf_finetune.heads.decoders:build_deeplab_v3_plus",
        "fcn_16s": "tf_finetune.heads.decoders:build_fcn_16s",
        "fcn_32s": "tf_finetune.heads.decoders:build_fcn_32s",
        "fcn_8s": "tf_finetune.heads.decoders:build_fcn_8s",
        "linear": "tf_finetune.heads.head:build_linear",
        "mlp": "tf_finetune.heads.head:build_mlp",
        "unet": "tf_finetune.heads.decoders:build_unet",
    },
)
