"""The new tops by name."""

from tf_finetune import registry

HEADS = registry.Registry(
    "head",
    {
        "deeplab_v3_plus": "tf_finetune.heads.deeplab:build",
        "fcn_16s": "tf_finetune.heads.fcn:build_16s",
        "fcn_32s": "tf_finetune.heads.fcn:build_32s",
        "fcn_8s": "tf_finetune.heads.fcn:build_8s",
        "linear": "tf_finetune.heads.linear:build",
        "mlp": "tf_finetune.heads.mlp:build",
        "unet": "tf_finetune.heads.unet:build",
    },
)

BUILT_IN = HEADS.names()
"""Those of which it is known what they read."""

_DECODERS = ("deeplab_v3_plus", "fcn_16s", "fcn_32s", "fcn_8s", "unet")
READERS = {
    "head_epochs": _DECODERS,
    "head_units": ("mlp", *_DECODERS),
    "output_stride": ("deeplab_v3_plus",),
}
"""Options that not every head reads, and those that do."""
