"""SADAAN as published, layer by layer and loop by loop: the peer of sadaan_step.py.

Written from its description: widths, layers, names of outputs, loss terms. Features at full
resolution have 128 channels, the position prior a weight per voxel; the features are repeated and
weighed for each structure and all rows of the last convolution are computed for each, of which one
counts. The loss goes through cases and structures one by one. Its focal term is declared there but
never computed, so it is not here either.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WEIGHTS = {
    "segmentation": 1.0,
    "dice": 2.0,
    "false_positive_suppression": 0.5,
    "absence": 1.0,
    "attention_supervision": 0.5,
    "confidence": 0.1,
}
"""The documented default weight of each term."""


def convolve(before: int, after: int) -> nn.Sequential:
    """A convolution of 3, batch normalisation and ReLU."""
    return nn.Sequential(nn.Conv3d(before, after, 3, padding=1), nn.BatchNorm3d(after), nn.ReLU())


def twice(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(convolve(before, after), convolve(after, after))


class Literal(nn.Module):
    """The published network in three dimensions.

    Args:
        size: of every image, in multiples of 16.
        width: 16 as published; tests take fewer.
    """

    def __init__(
        self, in_channels: int, structures: int, size: tuple[int, int, int], *, width: int = 16
    ) -> None:
        super().__init__()
        widths = [width * 2**stage for stage in range(5)]
        wide, hidden = 8 * width, 4 * width
        self.structures = structures
        self.down = nn.ModuleList(
            twice(a, b) for a, b in zip([in_channels, *widths[:-1]], widths, strict=True)
        )
        self.up = nn.ModuleList(nn.ConvTranspose3d(2 * w, w, 2, 2) for w in reversed(widths[:-1]))
        self.after = nn.ModuleList(twice(2 * w, w) for w in reversed(widths[:-1]))
        self.features = nn.Conv3d(width, wide, 1)
        self.attention = nn.Sequential(convolve(wide, hidden), nn.Conv3d(hidden, structures, 1))
        self.prior = nn.Parameter(0.1 * torch.randn(structures, *size))
        self.matcher = nn.Sequential(convolve(wide, wide), nn.Conv3d(wide, structures, 1))
        self.presence = nn.ModuleList(
            nn.Sequential(
                nn.Linear(wide + 1, hidden),
                nn.ReLU(),
                nn.Dropout(0.2),
                nn.Linear(hidden, hidden // 2),
                nn.ReLU(),
                nn.Linear(hidden // 2, 2),
            )
            for _ in range(structures)
        )
        self.confidence = nn.Sequential(
            nn.Linear(wide, hidden), nn.ReLU(), nn.Linear(hidden, structures), nn.Sigmoid()
        )
        self.refine = nn.Sequential(convolve(wide, hidden), convolve(hidden, hidden))
        self.segment = nn.Conv3d(hidden, structures, 1)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """The nine outputs by name."""
        features = self.features(self.trunk(image))
        priors = self.prior.sigmoid()
        attention = self.attention(features).sigmoid() * priors
        responses = self.matcher(features)
        alignment = (attention * responses.sigmoid()).mean((2, 3, 4))
        pooled = features.mean((2, 3, 4))
        absence = torch.stack(
            [
                head(torch.cat([pooled, alignment[:, s : s + 1]], 1))
                for s, head in enumerate(self.presence)
            ],
            dim=1,
        )
        logits = self.segmented(self.refine(features), attention)
        return {
            "attention_maps": attention,
            "feature_responses": responses,
            "alignment_scores": alignment,
            "position_priors": priors,
            "absence_logits": absence,
            "presence_probs": absence.softmax(-1)[..., 1],
            "confidence_scores": self.confidence(pooled),
            "segmentation_logits": logits,
            "segmentation_probs": logits.sigmoid(),
        }

    def trunk(self, image: Tensor) -> Tensor:
        """The U-Net's features, which the convolution of 1 widens."""
        x, skips = image, []
        for stage, block in enumerate(self.down):
            x = block(F.max_pool3d(x, 2) if stage else x)
            skips.append(x)
        for up, block, skip in zip(self.up, self.after, reversed(skips[:-1]), strict=True):
            x = block(torch.cat([up(x), skip], 1))
        return x

    def segmented(self, refined: Tensor, attention: Tensor) -> Tensor:
        """Row s of the last convolution over the features weighed by the attention of s."""
        cases, space = len(refined), refined.shape[2:]
        repeated = refined.unsqueeze(1).repeat(1, self.structures, 1, 1, 1, 1)
        weighed = (repeated * attention.unsqueeze(2)).flatten(0, 1)
        every = self.segment(weighed).view(cases, self.structures, self.structures, *space)
        return torch.stack([every[:, s, s] for s in range(self.structures)], 1)


def literal_loss(found: Mapping[str, Tensor], masks: Tensor, presence: Tensor) -> dict[str, Tensor]:
    """The six terms that are computed, without their weights."""
    cases, structures = presence.shape
    zero = masks.new_zeros(())
    entropy, dice, alarm, attention, confidence = zero, zero, zero, zero, zero
    present = absent = 0
    for b in range(cases):
        for s in range(structures):
            mask, p = masks[b, s], found["segmentation_probs"][b, s]
            sure = found["presence_probs"][b, s]
            if presence[b, s].item() == 1:
                logits = found["segmentation_logits"][b, s]
                entropy = entropy + F.binary_cross_entropy_with_logits(logits, mask)
                common = (p * mask).sum()
                dice = dice + 1 - (2 * common + 1e-6) / (p.sum() + mask.sum() + 1e-6)
                maps = found["attention_maps"][b, s]
                attention = attention + F.binary_cross_entropy(maps, mask)
                present += 1
            else:
                alarm = alarm + p.mean()
                absent += 1
            if (sure.item() > 0.5) != (presence[b, s].item() == 1):
                confidence = confidence + (sure - 0.5) ** 2
    return {
        "segmentation": entropy / max(present, 1),
        "dice": dice / max(present, 1),
        "false_positive_suppression": alarm / max(absent, 1),
        "absence": F.binary_cross_entropy(found["presence_probs"], presence.float()),
        "attention_supervision": attention / (cases * structures),
        "confidence": confidence / (cases * structures),
    }


def ours_from_literal(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of `Literal` under the names of `delineate.models.SADAAN` with a full prior.

    The layers of the per-structure heads are stacked and their matrices turned; the bias of the
    last convolution, which is added behind the product with the attention, is a vector of its own;
    counters of batches are left out.
    """
    ours: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if name.startswith("presence.0."):
            _, _, layer, kind = name.split(".")
            every = [state[f"presence.{s}.{layer}.{kind}"] for s in range(len(state["prior"]))]
            stacked = torch.stack(every)
            ours[f"presence.{layer}.{kind}"] = stacked.mT if kind == "weight" else stacked
        elif not name.startswith("presence.") and not name.endswith("num_batches_tracked"):
            ours[_renamed(name)] = tensor
    return ours


def _renamed(name: str) -> str:
    part, *rest = name.split(".")
    if part == "down":  # stage, first or second, layer, kind; all but the first stage halve first
        stage, which, layer, kind = rest
        place = 2 * int(which) + int(layer) + (stage != "0")
        return f"encoder.{stage}.{place}.{kind}"
    if part == "up":
        return f"decoder.{rest[0]}.up.{rest[1]}"
    if part == "after":
        stage, which, layer, kind = rest
        return f"decoder.{stage}.convolutions.{2 * int(which) + int(layer)}.{kind}"
    if part == "features":
        return f"wide.{rest[0]}"
    if part == "segment":
        return "offset" if rest[0] == "bias" else "refinement.stages.1.1.weight"
    if part in ("attention", "matcher"):  # 0.0 the convolution, 0.1 its normalisation, 1 the last
        place = {"0.0": "convolution", "0.1": "stages.0.0", "1": "stages.0.1"}
        return f"{part}.{place['.'.join(rest[:-1])]}.{rest[-1]}"
    if part == "refine":
        place = {
            "0.0": "convolution",
            "0.1": "stages.0.0",
            "1.0": "stages.0.1",
            "1.1": "stages.1.0",
        }
        return f"refinement.{place['.'.join(rest[:-1])]}.{rest[-1]}"
    return name
