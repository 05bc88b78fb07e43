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
        "linear": "tf_finetune.heads.linear:build",
        "mlp": "tf_finetune.heads.mlp:build",
        "unet": "tf_finetune.heads.unet:build",
    },
)

BUILT_IN = HEADS.names()
"""Heads of this package; which options they read is declared below."""

# Heads that output one vector of logits a pixel.
_DECODERS = ("deeplab_v3_plus", "fcn_16s", "fcn_32s", "fcn_8s", "unet")
READERS = {
    "head_epochs": _DECODERS,
    "head_units": ("mlp", *_DECODERS),
    "output_stride": ("deeplab_v3_plus",),
}
"""Heads by the option they read; other options are read by every head."""
