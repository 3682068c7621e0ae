"""How other houses call the weights of networks that we have too, in our names.

| theirs | ours |
|---|---|
| nnU-Net's PlainConvUNet, MONAI's DynUNet | UNet |
| nnU-Net's ResidualEncoderUNet | ResidualUNet |
| MONAI's SegResNet | SegResNet |
| RadImageNet's ResNet as a list of layers | ResNet, torchvision's names |

Ours count stages from the finest; a decoder of theirs counts from the coarsest.
"""

import re
from collections.abc import Callable, Iterable, Iterator

__all__ = ["namings", "unwrapped"]

_WRAPPERS = ("module.", "model.", "network.", "net.", "_orig_mod.")
"""What DataParallel, Lightning, torch.compile and training scripts put before a name."""
Rename = Callable[[re.Match[str], int], str]


def namings(names: Iterable[str]) -> Iterator[dict[str, str]]:
    """Ways to read the names: each maps some of them to what we might call them.

    First come the names as they are, then without the wrappings, then as each family of networks.
    """
    names = list(names)
    yield {name: name for name in names}
    bare = unwrapped(names)
    yield bare
    for rules, counted in _FAMILIES:
        found = [re.match(counted, name) for name in bare.values()]
        top = max((int(match[1]) for match in found if match), default=-1)
        renamed = {name: _renamed(short, rules, top) for name, short in bare.items()}
        yield {name: ours for name, ours in renamed.items() if ours is not None}


def unwrapped(names: Iterable[str]) -> dict[str, str]:
    """Each name without what most of them begin with for technical reasons."""
    bare = {name: name.replace("._orig_mod.", ".") for name in names}
    while True:
        begun = [
            w for w in _WRAPPERS if sum(n.startswith(w) for n in bare.values()) * 2 > len(bare)
        ]
        if not begun:
            return bare
        bare = {name: short.removeprefix(begun[0]) for name, short in bare.items()}


def _renamed(name: str, rules: dict[str, Rename], top: int) -> str | None:
    for pattern, rename in rules.items():
        if match := re.fullmatch(pattern, name):
            return rename(match, top)
    return None


_PART = {"conv": "convolution", "norm": "norm"}
_RESIDUAL = {
    ("conv1", "conv"): "first.convolution",
    ("conv1", "norm"): "first.norm",
    ("conv2", "conv"): "second",
    ("conv2", "norm"): "norm",
}


def _block(stage: str, block: str) -> str:
    """A residual block; the finest stage of ours begins with the stem."""
    return f"encoder.{stage}.{int(block) + (stage == '0')}"


_NNUNET: dict[str, Rename] = {
    r"encoder\.stages\.(\d+)\.0\.convs\.(\d+)\.(conv|norm)\.(\w+)": lambda m, _: (
        f"encoder.{m[1]}.{m[2]}.{_PART[m[3]]}.{m[4]}"
    ),
    r"encoder\.stem\.convs\.0\.(conv|norm)\.(\w+)": lambda m, _: (
        f"encoder.0.0.{_PART[m[1]]}.{m[2]}"
    ),
    r"encoder\.stages\.(\d+)\.blocks\.(\d+)\.(conv1|conv2)\.(conv|norm)\.(\w+)": lambda m, _: (
        f"{_block(m[1], m[2])}.{_RESIDUAL[m[3], m[4]]}.{m[5]}"
    ),
    r"encoder\.stages\.(\d+)\.blocks\.(\d+)\.skip\.(\d)\.(conv|norm)\.(\w+)": lambda m, _: (
        f"{_block(m[1], m[2])}.skip.{int(m[3]) + (m[4] == 'norm')}.{m[5]}"
    ),
    r"decoder\.stages\.(\d+)\.convs\.(\d+)\.(conv|norm)\.(\w+)": lambda m, top: (
        f"decoder.{top - int(m[1])}.{m[2]}.{_PART[m[3]]}.{m[4]}"
    ),
    r"decoder\.transpconvs\.(\d+)\.(\w+)": lambda m, top: f"up.{top - int(m[1])}.{m[2]}",
    r"decoder\.seg_layers\.(\d+)\.(\w+)": lambda m, top: f"heads.{top - int(m[1])}.{m[2]}",
}
_DYNUNET: dict[str, Rename] = {
    r"input_block\.(conv|norm)(\d)(?:\.conv)?\.(\w+)": lambda m, _: (
        f"encoder.0.{int(m[2]) - 1}.{_PART[m[1]]}.{m[3]}"
    ),
    r"downsamples\.(\d+)\.(conv|norm)(\d)(?:\.conv)?\.(\w+)": lambda m, _: (
        f"encoder.{int(m[1]) + 1}.{int(m[3]) - 1}.{_PART[m[2]]}.{m[4]}"
    ),
    r"bottleneck\.(conv|norm)(\d)(?:\.conv)?\.(\w+)": lambda m, top: (
        f"encoder.{top + 1}.{int(m[2]) - 1}.{_PART[m[1]]}.{m[3]}"
    ),
    r"upsamples\.(\d+)\.transp_conv\.conv\.(\w+)": lambda m, top: f"up.{top - int(m[1])}.{m[2]}",
    r"upsamples\.(\d+)\.conv_block\.(conv|norm)(\d)(?:\.conv)?\.(\w+)": lambda m, top: (
        f"decoder.{top - int(m[1])}.{int(m[3]) - 1}.{_PART[m[2]]}.{m[4]}"
    ),
    r"output_block\.conv\.conv\.(\w+)": lambda m, _: f"heads.0.{m[1]}",
    r"deep_supervision_heads\.(\d+)\.conv\.conv\.(\w+)": lambda m, _: (
        f"heads.{int(m[1]) + 1}.{m[2]}"
    ),
}
_SEGRESNET: dict[str, Rename] = {
    r"convInit\.conv\.(\w+)": lambda m, _: f"encoder.0.0.{m[1]}",
    r"down_layers\.(\d+)\.0\.conv\.(\w+)": lambda m, _: f"encoder.{m[1]}.0.{m[2]}",
    r"down_layers\.(\d+)\.(\d+)\.(conv\d|norm\d)(?:\.conv)?\.(\w+)": lambda m, _: (
        f"encoder.{m[1]}.{m[2]}.{m[3]}.{m[4]}"
    ),
    r"up_samples\.(\d+)\.0\.conv\.(\w+)": lambda m, top: f"up.{top - int(m[1])}.{m[2]}",
    r"up_layers\.(\d+)\.0\.(conv\d|norm\d)(?:\.conv)?\.(\w+)": lambda m, top: (
        f"decoder.{top - int(m[1])}.{m[2]}.{m[3]}"
    ),
    r"conv_final\.0\.(\w+)": lambda m, _: f"heads.0.0.{m[1]}",
    r"conv_final\.2\.conv\.(\w+)": lambda m, _: f"heads.0.1.{m[1]}",
}
_RESNET_LAYERS: dict[str, Rename] = {
    r"(?:backbone\.)?0\.(\w+)": lambda m, _: f"conv1.{m[1]}",
    r"(?:backbone\.)?1\.(\w+)": lambda m, _: f"bn1.{m[1]}",
    r"(?:backbone\.)?([4-7])\.(.+)": lambda m, _: f"layer{int(m[1]) - 3}.{m[2]}",
}
_FAMILIES: tuple[tuple[dict[str, Rename], str], ...] = (
    (_NNUNET, r"decoder\.transpconvs\.(\d+)"),
    (_DYNUNET, r"upsamples\.(\d+)"),
    (_SEGRESNET, r"up_layers\.(\d+)"),
    (_RESNET_LAYERS, r"(?:backbone\.)?(\d)"),
)
"""The rules of each family, and the pattern whose number says how many steps its decoder has."""
