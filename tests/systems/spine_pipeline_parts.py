"""Networks with their losses, and steps, with the parameters that published files have."""

from typing import Any

ALL = ["train", "val", "test"]
Entry = dict[str, Any]


def step(name: str, target: str = "data", phase: list[str] | None = None, **params: Any) -> Entry:
    """One entry of `preprocess`; what is random is drawn in training only."""
    phases = phase or (["train"] if "p" in params else ALL)
    return {"name": name, "params": params, "target": target.split(), "phase": phases}


BOTH = "data label"
RESIZE = step("alb.Resize", BOTH, height=32, width=32)
TENSOR = [
    step("alb.ToFloat", max_value=255),
    step("alb.ToTensorV2", BOTH),
]
IMAGE = [step("tv.ToImage"), step("tv.ToDtype", dtype="float32", scale=True)]
MASK = [step("load_segmentation_label", "label"), RESIZE, step("to_gray")]
CLASS = [
    step("label_encoding", "label", ordered=True),
    step("one_hot_encoding", "label"),
    step("to_gray"),
    step("alb.Resize", height=32, width=32),
]
RANDOM: list[list[Entry]] = [
    [step("alb.HorizontalFlip", BOTH, p=0.5), step("alb.Blur", blur_limit=3, p=0.5)],
    [
        step("alb.RandomCrop", BOTH, height=28, width=28, p=0.5),
        step("alb.Resize", BOTH, phase=["train"], height=32, width=32),
    ],
    [step("alb.Rotate", BOTH, limit=15, interpolation=1, border_mode=4, p=0.5)],
    [
        step(
            "alb.RandomBrightnessContrast",
            brightness_limit=0.2,
            contrast_limit=0.2,
            brightness_by_max=True,
            p=0.5,
        ),
        step("alb.GaussNoise", var_limit=[10, 50], mean=0, per_channel=True, p=0.5),
    ],
    [step("alb.ElasticTransform", BOTH, alpha=300, sigma=100, p=0.5)],
    [step("alb.GridDistortion", BOTH, num_steps=5, distort_limit=0.3, p=0.5)],
    [step("alb.OpticalDistortion", BOTH, distort_limit=0.1, shift_limit=0.05, p=0.5)],
    [
        step(
            "alb.ShiftScaleRotate",
            BOTH,
            shift_limit=0.0625,
            scale_limit=0.1,
            rotate_limit=15,
            border_mode=4,
            p=0.5,
        ),
        step("alb.RandomGamma", gamma_limit=[70, 150], p=0.5),
    ],
    [
        step(
            "alb.CoarseDropout",
            max_holes=4,
            max_height=8,
            max_width=8,
            min_holes=1,
            min_height=2,
            min_width=2,
            fill_value=0,
            p=0.5,
        ),
        step("alb.MultiplicativeNoise", multiplier=[0.85, 1.15], p=0.5),
    ],
    [step("custom_bias_field", coefficient_range=[0.3, 0.7], order=3, p=0.5)],
    [
        step(
            "lesion_aug",
            BOTH,
            phase=["train"],
            min_lesions=1,
            max_lesions=3,
            min_size=2,
            max_size=5,
        )
    ],
]
UNET = {"in_channels": 1, "out_channels": 1, "depth": 2, "out_activation": None}
DRAWING: list[tuple[str, Entry, Entry]] = [
    ("UNET", {**UNET, "features": 4, "use_batch_norm": True}, {"name": "DiceLoss", "params": {}}),
    ("UNET", {**UNET, "features": 6, "use_xavier": True}, {"name": "BCEWithLogitsLoss"}),
    ("UNET", {**UNET, "features": 4, "out_activation": "sigmoid"}, {"name": "BCELoss"}),
    ("AttentionUNET", {**UNET, "features": 4, "out_activation": "sigmoid"}, {"name": "DiceLoss"}),
    (
        "DUCKNet",
        {
            **UNET,
            "init_features": 7,
            "normalization": "batch",
            "interpolation": "nearest",
            "use_multiplier": True,
        },
        {"name": "DuckNetDiceLoss"},
    ),
    ("ImproveSTAMPUNet", {**UNET, "init_features": 4, "dropout": 0.1}, {"name": "DiceLoss"}),
    ("STAMPUNet", {**UNET, "features": 4}, {"name": "SmoothL1Loss"}),
    (
        "UNET",
        {**UNET, "features": 4},
        {
            "name": "CombinedLoss",
            "params": {
                "losses": [
                    {"name": "DiceLoss", "weight": 0.5},
                    {"name": "BCEWithLogitsLoss", "weight": "5e-1"},
                ]
            },
        },
    ),
    ("AttentionUNET", {**UNET, "features": 4}, {"name": "FocalLoss", "params": {"gamma": 2}}),
    ("UNET", {**UNET, "features": 4, "pretrained": "D:\\w\\a.ckpt"}, {"name": "MSELoss"}),
    ("MultiTaskUNET", {**UNET, "features": 4}, {"name": "L1Loss"}),
]
RESNET = {"in_channels": 1, "num_classes": 3, "size": "18", "freeze": False, "pretrained": False}
TELLING: list[tuple[str, Entry, Entry]] = [
    ("ResNet", RESNET, {"name": "CrossEntropyLoss"}),
    ("ResNet", {**RESNET, "class_weight": [1, 2, 1]}, {"name": "CrossEntropyLoss"}),
    ("ResNet", {**RESNET, "freeze": True}, {"name": "FocalLoss"}),
    ("ResNet", RESNET, {"name": "WeightedCrossEntropy", "params": {"weight": [1, 1, 2]}}),
    ("ResNet", RESNET, {"name": "NLLLoss"}),
    ("ResNet", RESNET, {"name": "KLDivLoss"}),
    ("ResNet", {**RESNET, "size": "34"}, {"name": "BCEWithLogitsLoss"}),
    ("ResNet", RESNET, {"name": "MSELoss"}),
    ("ResNet", RESNET, {"name": "CrossEntropyLoss", "params": {"label_smoothing": 0.1}}),
]
TIMM: list[tuple[str, Entry, Entry]] = [
    ("EfficientVit_MSRA", {**RESNET, "size": "m0"}, {"name": "CrossEntropyLoss"}),
    ("RepVit", {**RESNET, "size": "m1_0"}, {"name": "CrossEntropyLoss"}),
    ("MobileNetV4", {**RESNET, "size": "conv_small"}, {"name": "CrossEntropyLoss"}),
]
"""These want the extra of that name."""
