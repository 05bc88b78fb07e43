"""Values of other packages' settings, mapped to values of this package."""

import dataclasses
import re


@dataclasses.dataclass(frozen=True)
class Synonym:
    """A flag, with its names in other packages.

    Attributes:
        flag: The flag here; empty: there is none.
        names: Its names in other packages, as `normalize_name` returns them.
        advice: A sentence that tells how to set it, or what to do instead.
    """

    flag: str
    names: frozenset[str]
    advice: str


def find_advice(flag: str, value: str) -> str | None:
    """Returns advice on a value that other packages use; None: unknown.

    Args:
        flag: The flag's name, without dashes.
        value: Its value, with any capitals, dashes and underscores.
    """
    asked = normalize_name(value)
    for names, advice in ADVICE.get(flag, {}).items():
        if asked in map(normalize_name, names.split()):
            return advice
    return None


_CROSS_ENTROPY = (
    "sparse_categorical_crossentropy categorical_crossentropy crossentropy "
    "binary_crossentropy CrossEntropyLoss CrossEntropyLossFlat ce bce xent "
    "BCEWithLogitsLoss BCELoss nll NLLLoss softmax softmax_cross_entropy "
    "log_loss categorical_cross_entropy binary_cross_entropy "
    "sparse_categorical_cross_entropy SoftTargetCrossEntropy sigmoid logloss"
)

# Values with the same advice share a text, with blanks between them.
ADVICE: dict[str, dict[str, str]] = {
    "loss": {
        _CROSS_ENTROPY: "--loss=cross_entropy is meant.",
        "mse MSELoss l2 squared_error mean_squared_loss": (
            "--loss=mean_squared_error is meant."
        ),
        "mae MAELoss l1 L1Loss absolute_error": (
            "--loss=mean_absolute_error is meant."
        ),
        "HuberLoss SmoothL1Loss smooth_l1 smoothl1": "--loss=huber is meant.",
        "FocalLoss focal_loss categorical_focal_crossentropy "
        "binary_focal_crossentropy FocalLossFlat sigmoid_focal": (
            "--loss=focal is meant."
        ),
        "DiceLoss dice_loss soft_dice": "--loss=dice is meant.",
        "asl AsymmetricLoss asymmetric_loss": "--loss=asymmetric is meant.",
        "TverskyLoss tversky_loss": "--loss=tversky is meant.",
    },
    "weights": {
        "default pretrained true yes 1 imagenet1k imagenet-1k in1k "
        "IMAGENET1K_V1 IMAGENET1K_V2 image_net imagenet_weights keras auto": (
            "--weights=imagenet is meant."
        ),
        "false no 0 random scratch null from_scratch nothing": (
            "--weights=none is meant: random weights."
        ),
        "imagenet21k in21k imagenet22k noisy-student noisystudent": (
            "Weights of other data than ImageNet's 1000 classes are given as a "
            "file."
        ),
    },
    "precision": {
        "16 fp16 float16 half amp 16-mixed mixed true": (
            "--precision=mixed_float16 is meant."
        ),
        "bf16 bfloat16 bf16-mixed": "--precision=mixed_bfloat16 is meant.",
        "32 fp32 full single 32-true float false": (
            "--precision=float32 is meant."
        ),
    },
    "schedule": {
        "cosine_annealing CosineAnnealingLR cos cosine_decay CosineDecay "
        "one_cycle OneCycleLR onecycle CosineLRScheduler fit_one_cycle "
        "cosine_with_restarts cosineannealing true": (
            "--schedule=cosine is meant, with its warm-up."
        ),
        "none const fixed off flat constant_with_warmup false": (
            "--schedule=constant is meant."
        ),
        "step StepLR multistep MultiStepLR plateau ReduceLROnPlateau "
        "exponential ExponentialLR poly polynomial linear": (
            "There are --schedule=cosine and --schedule=constant."
        ),
    },
    "strategy": {
        "ddp dp data_parallel DataParallel DistributedDataParallel multi_gpu "
        "MirroredStrategy gpu gpus": "--strategy=mirrored is meant.",
        "none default cpu single one": "--strategy=one_device is meant.",
        "MultiWorkerMirroredStrategy multi_node multi_machine "
        "multiworkermirrored": "--strategy=multi_worker is meant.",
        "TPUStrategy": "--strategy=tpu is meant.",
    },
    "trainable": {
        "none false no frozen feature_extract feature_extraction nothing "
        "linear_probe": (
            "--trainable=head leaves the backbone as it is, and so does "
            "--epochs=0."
        ),
        "true yes full everything unfreeze backbone": (
            "--trainable=all is meant."
        ),
    },
    "task": {
        "classify classifier single_label image_classification "
        "image-classification multiclass multi_class binary cls": (
            "--task=classification is meant."
        ),
        "segment semantic_segmentation seg semantic image-segmentation "
        "semseg": "--task=segmentation is meant.",
        "multi_label multilabel_classification multi_label_classification "
        "tagging": "--task=multilabel is meant.",
        "regress image_regression": "--task=regression is meant.",
        "detect detection object_detection pose obb instance_segmentation "
        "keypoints panoptic": (
            "Boxes, poses and single objects are not supported."
        ),
    },
    "resize": {
        "letterbox padding contain fit": "--resize=pad is meant.",
        "center_crop centercrop cover crop_to_aspect_ratio": (
            "--resize=crop is meant."
        ),
        "stretch distort warp resize none": "--resize=squash is meant.",
    },
    "augmentation": {
        "true yes on default auto 1 aug_transforms": (
            "--augmentation=light is the default."
        ),
        "false no off 0 null": "--augmentation=none is meant.",
        "heavy randaugment rand_augment autoaugment auto_augment "
        "trivialaugment augmix": "--augmentation=strong is meant.",
        "weak": "--augmentation=light is meant.",
        "moderate": "--augmentation=medium is meant.",
    },
    "class_weight": {
        "auto true yes inverse": "--class_weight=balanced is meant.",
        "effective cb class_balanced": "--class_weight=effective_number is "
        "meant.",
        "false no off": "--class_weight=none is meant.",
    },
    "export format": {
        "tflite tf_lite lite": "--format=litert is meant.",
        "savedmodel pb tf tensorflow saved-model tf_saved_model serving": (
            "--format=saved_model is meant."
        ),
        "hdf5 weights weights_h5": "--format=h5 is meant.",
        "int8 tflite_int8": "--format=litert_int8 is meant.",
        "fp16 float16 tflite_float16": "--format=litert_float16 is meant.",
        "pt pth pytorch safetensors": "--format=torch is meant.",
        "torchscript coreml mlmodel openvino tensorrt engine tfjs ncnn": (
            "It is not written here; --format=onnx is what most converters "
            "read."
        ),
    },
    "optimizer": {
        "SGDM sgd_momentum momentum_sgd sgd_nesterov nesterov": (
            "--optimizer=momentum is meant: SGD with 0.9."
        ),
        "adam_w FusedAdam adamw_torch adamw_hf": "--optimizer=adamw is meant.",
        "lbfgs l-bfgs": (
            "It is how heads are solved; --epochs=0 does that alone."
        ),
    },
    "head": {
        "dense fc softmax classifier single": "--head=linear is meant.",
        "deeplab deeplabv3 deeplabv3plus deeplab_v3": (
            "--head=deeplab_v3_plus is meant, with --task=segmentation."
        ),
        "fcn": "--head=fcn_8s is meant, with --task=segmentation.",
        "u_net": "--head=unet is meant, with --task=segmentation.",
    },
    "backbone": {
        "vit vit_b_16 vit_base vit_base_patch16_224 google/vit-base-patch16-"
        "224 vit_small vit_large swin swin_t deit beit clip dinov2 maxvit": (
            "Transformers are not supported; --backbone=convnext_tiny is a "
            "convolutional network of similar design."
        ),
        "resnet resnet50d resnet50.a1_in1k microsoft/resnet-50 "
        "wide_resnet50_2 resnext50_32x4d": (
            "--backbone=resnet50 is the nearest."
        ),
        "yolov8n-cls.pt yolo11n-cls.pt yolov8n-cls yolo11n-cls yolov8n yolo "
        "yolov8 yolov8n.pt": (
            "YOLO's networks are not here; --backbone=mobilenet_v2 is small "
            "and fast."
        ),
        "vgg": "--backbone=vgg16 is meant.",
        "efficientnet tf_efficientnet_b0 efficientnet_b0.ra_in1k "
        "google/efficientnet-b0": (
            "--backbone=efficientnet_b0 is the nearest."
        ),
        "tf_efficientnet_lite0 tf_efficientnet_lite0.in1k": (
            "--backbone=efficientnet_lite0 is meant."
        ),
        "mobilenetv2_100 mobilenet_v2_1.0_224 mobilenetv2_100.ra_in1k "
        "google/mobilenet_v2_1.0_224": "--backbone=mobilenet_v2 is meant.",
        "mobilenetv3 mobilenet_v3 mobilenetv3_large_100": (
            "--backbone=mobilenet_v3_large is meant."
        ),
        "inception": "--backbone=inception_v3 is meant.",
        "densenet": "--backbone=densenet121 is meant.",
        "convnext": "--backbone=convnext_tiny is meant.",
        "squeezenet regnet mnasnet shufflenet shufflenet_v2 squeezenet1_1 "
        "squeezenet1_0 regnet_y_400mf": (
            "It is not among the networks; --backbone=mobilenet_v2 is small "
            "and fast."
        ),
    },
}
"""By flag or kind of name: names in other packages, and advice on them."""


def define(flag: str, names: str, advice: str) -> Synonym:
    """Builds a synonym from names in one text.

    Args:
        flag: The flag here; empty: there is none.
        names: Names in other packages, with blanks between them; they are
            normalized.
        advice: A sentence that tells how to set it, or what to do instead.
    """
    return Synonym(flag, frozenset(map(normalize_name, names.split())), advice)


def normalize_name(name: str) -> str:
    """Returns a name in lower case without punctuation (- _ .) and blanks."""
    return re.sub(r"[-_.\s]", "", name).lower()
