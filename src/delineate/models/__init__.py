"""Networks: each one takes an image (b, c, *s) and returns an Output."""

from delineate.models.attention_unet import AttentionUNet
from delineate.models.dformer import DFormer
from delineate.models.dformer_inflate import inflate_2d
from delineate.models.duck_net import DUCKNet
from delineate.models.foreign import as_output
from delineate.models.hybrid import HybridCNNTransformer
from delineate.models.light_unet import LightUNet
from delineate.models.mednext import MedNeXt
from delineate.models.multitask import MultiTaskUNet
from delineate.models.plain_unet import PlainUNet
from delineate.models.residual_unet import ResidualUNet
from delineate.models.resnet import ResNet
from delineate.models.resnet_unet import ResNetUNet
from delineate.models.sadaan import SADAAN
from delineate.models.segresnet import SegResNet
from delineate.models.stamp_unet import STAMPUNet
from delineate.models.unet import UNet
from delineate.models.vit_gnn import ViTGNN
from delineate.models.vit_gnn_morphogen import MorphogenAugmentedViTGNN

__all__ = [
    "SADAAN",
    "AttentionUNet",
    "DFormer",
    "DUCKNet",
    "HybridCNNTransformer",
    "LightUNet",
    "MedNeXt",
    "MorphogenAugmentedViTGNN",
    "MultiTaskUNet",
    "PlainUNet",
    "ResNet",
    "ResNetUNet",
    "ResidualUNet",
    "STAMPUNet",
    "SegResNet",
    "UNet",
    "ViTGNN",
    "as_output",
    "inflate_2d",
]
