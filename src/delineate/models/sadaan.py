"""SADAAN: which structures a scan shows, and where, from attention maps with a learned prior.

A U-Net of five stages ends in wide features f at full resolution, and each structure s has

    attention  a_s = sigmoid(m_s) sigmoid(P_s),    m = A(f), P the prior of its position
    response   q = M(f),    alignment g_s = mean over voxels of a_s sigmoid(q_s)
    logits     l_s = (row s of a 1x1 convolution)(a_s R(f))
    presence   MLP_s(mean over voxels of f, g_s),    confidence C(mean over voxels of f)

A, M and R are convolutions of f with batch normalisation and ReLU.

How we differ from the published form; with `prior="full"` the function and the number of weights
are the same:

- The prior has a coarse grid and is interpolated, so that its weights do not grow with the image;
  images that the five stages do not divide are padded for the U-Net alone.
- A 1x1 convolution commutes with the product by a map, l_s = a_s (w_s . R(f)) + b_s, so that no
  features are repeated per structure.
- f is linear in the few channels below it, and is read by convolutions only: each of these is
  composed with f's own weights, and f itself is never made.
- Behind a normalisation only its input is kept for the backward pass.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Literal, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from delineate.contracts import Output
from delineate.models.any_size import check_axes, padded
from delineate.models.batch_norm import NormRelu, recomputed
from delineate.models.blocks import channels_last, convolution, initialise, transposed

__all__ = ["SADAAN", "Answers"]

STAGES = 5
DIVISOR = 2 ** (STAGES - 1)
DROPOUT = 0.2
PRIOR_SPREAD = 0.1
"""Standard deviation of the prior's weights at the start."""


class SADAAN(nn.Module):
    """Masks that may overlap, and for each whether it is there; in two or three dimensions.

    Args:
        out_channels: structures; there is no background among them.
        img_size: of the images that a full prior is for; a coarse one does not ask.
        prior: "full" has a weight per structure and voxel of `img_size`, "coarse" a grid.
        prior_size: entries of the coarse grid along each axis.
        width: channels of the first stage; all others are multiples of it.
        checkpointing: recompute each stage in the backward pass: less memory, a third more time.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        spatial_dims: Literal[2, 3] = 3,
        img_size: Sequence[int] | None = None,
        prior: Literal["coarse", "full"] = "coarse",
        prior_size: int = 16,
        width: int = 16,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.checkpointing = checkpointing
        ones = (1,) * spatial_dims
        widths = [width * 2**stage for stage in range(STAGES)]
        wide, hidden = 8 * width, 4 * width
        self.encoder = nn.ModuleList(
            Down(before, after, spatial_dims, halve=stage > 0)
            for stage, (before, after) in enumerate(pairwise((in_channels, *widths)))
        )
        self.decoder = nn.ModuleList(
            Up(coarse, fine, spatial_dims) for coarse, fine in pairwise(reversed(widths))
        )
        self.wide = convolution(width, wide, ones, ones)
        self.attention = Reader((wide, hidden), out_channels, spatial_dims)
        self.matcher = Reader((wide, wide), out_channels, spatial_dims)
        self.refinement = Reader((wide, hidden, hidden), out_channels, spatial_dims, bias=False)
        self.offset = nn.Parameter(torch.zeros(out_channels))
        self.presence = nn.Sequential(
            PerStructure(out_channels, wide + 1, hidden),
            nn.ReLU(),
            nn.Dropout(DROPOUT),
            PerStructure(out_channels, hidden, 2 * width),
            nn.ReLU(),
            PerStructure(out_channels, 2 * width, 2),
        )
        self.confidence = nn.Sequential(
            nn.Linear(wide, hidden), nn.ReLU(), nn.Linear(hidden, out_channels)
        )
        grid = _grid(prior, prior_size, spatial_dims, img_size)
        self.prior = nn.Parameter(PRIOR_SPREAD * torch.randn(out_channels, *grid))
        initialise(self)

    def forward(self, image: Float[Tensor, "b c *s"]) -> Output:
        """Logits at the image's resolution, presence, and by name what else there is (`Answers`).

        Images of any size; the presence logit of a structure is that of its softmax over two.
        """
        narrow = self._narrow(image)
        space = tuple(range(2, narrow.dim()))
        # A channel of ones carries the bias of the wide features: it ends where the image does.
        read = F.pad(narrow, (0, 0) * len(space) + (0, 1), value=1.0)
        bias = cast(Tensor, self.wide.bias)
        columns = torch.cat((self.wide.weight.flatten(1), bias[:, None]), dim=1)
        # The widest one first: its backward pass comes when the others' tensors are gone.
        responses, maps, rows = (
            self._run(reader, read, columns)
            for reader in (self.matcher, self.attention, self.refinement)
        )
        priors = self._priors(image.shape[2:])
        attention = _precise(maps).sigmoid() * priors
        alignment = (attention * _precise(responses).sigmoid()).mean(space)
        logits = (attention * rows).add_(self.offset.view(-1, *(1 for _ in space)))
        mean_bc = narrow.mean(space, dtype=torch.promote_types(narrow.dtype, torch.float32))
        pooled = F.linear(mean_bc, self.wide.weight.flatten(1), bias)
        absence = self._absence(pooled, alignment)
        answers = Answers(
            attention_maps=attention,
            feature_responses=responses,
            alignment_scores=alignment,
            position_priors=priors,
            absence_logits=absence,
            presence_probs=absence.softmax(-1)[..., 1],
            confidence_scores=_precise(self.confidence(pooled)).sigmoid(),
            segmentation_logits=logits,
        )
        return Output(logits=logits, presence=absence[..., 1] - absence[..., 0], extra=answers)

    def _narrow(self, image: Float[Tensor, "b c *s"]) -> Float[Tensor, "b d *s"]:
        """The channels that the wide features are made of."""
        dims = self.prior.dim() - 1
        check_axes(image, dims, "SADAAN")
        size = image.shape[2:]
        x = padded(image, (DIVISOR,) * dims)
        if x.dim() == 5 and x.device.type == "cpu":
            x = channels_last(x)
        skips = []
        for stage in self.encoder:
            x = self._run(stage, x)
            skips.append(x)
        skips.pop()
        for stage in self.decoder:
            x = self._run(stage, x, skips.pop())
        return x if x.shape[2:] == size else x[(..., *(slice(n) for n in size))]

    def _run(self, stage: nn.Module, *inputs: Tensor) -> Tensor:
        return recomputed(stage, *inputs) if self.checkpointing else stage(*inputs)

    def _priors(self, size: Sequence[int]) -> Float[Tensor, "k *s"]:
        """How likely each structure is at each place, from 0 to 1."""
        prior = self.prior
        for length in size:
            prior = _stretched(prior, length)
        return _precise(prior).sigmoid()

    def _absence(
        self, pooled: Float[Tensor, "b d"], alignment: Float[Tensor, "b k"]
    ) -> Float[Tensor, "b k 2"]:
        """Logits of absence and of presence."""
        shared = pooled[:, None].expand(-1, alignment.shape[1], -1)
        given = torch.cat((shared, alignment[..., None].to(shared.dtype)), dim=2)
        return _precise(self.presence(given))


class Answers(Mapping[str, Tensor]):
    """The documented outputs by name, lazily where they are large.

    attention_maps (b, k, *s)       where each structure is looked for, prior included
    feature_responses (b, k, *s)    logits of what looks like it
    alignment_scores (b, k)         mean of attention times the sigmoid of the responses
    position_priors (k, *s)         the part of the attention that no image changes
    absence_logits (b, k, 2)        of absence and of presence
    presence_probs (b, k)           softmax of these
    confidence_scores (b, k)        how right the answer is expected to be
    segmentation_logits, segmentation_probs (b, k, *s)

    The last one is made when it is asked for.
    """

    def __init__(self, **given: Tensor) -> None:
        self._given = given

    def __getitem__(self, name: str) -> Tensor:
        """One output."""
        if name == "segmentation_probs":
            return self._given["segmentation_logits"].sigmoid()
        return self._given[name]

    def __iter__(self) -> Iterator[str]:
        """The names in the documented order."""
        yield from self._given
        yield "segmentation_probs"

    def __len__(self) -> int:
        """How many there are."""
        return len(self._given) + 1


class Down(nn.Sequential):
    """Halve, where asked to, then two convolutions."""

    def __init__(self, in_channels: int, out_channels: int, dims: int, *, halve: bool) -> None:
        pool = {2: nn.MaxPool2d, 3: nn.MaxPool3d}[dims]
        first = (pool(2),) if halve else ()
        super().__init__(*first, *_twice(in_channels, out_channels, dims))


class Up(nn.Module):
    """Double the resolution, put the skip beside it, then two convolutions."""

    def __init__(self, coarse: int, fine: int, dims: int) -> None:
        super().__init__()
        self.up = transposed(coarse, fine, (2,) * dims)
        self.convolutions = nn.Sequential(*_twice(2 * fine, fine, dims))

    def forward(
        self, x: Float[Tensor, "b c *r"], skip: Float[Tensor, "b d *s"]
    ) -> Float[Tensor, "b d *s"]:
        """Features at the skip's resolution."""
        return self.convolutions(torch.cat((self.up(x), skip), dim=1))


class Reader(nn.Module):
    """One map per structure from the wide features: convolutions of 3, then one of 1.

    Args:
        widths: channels of the wide features, and behind each convolution of 3.
        bias: of the last convolution.
    """

    def __init__(
        self, widths: Sequence[int], out_channels: int, dims: int, *, bias: bool = True
    ) -> None:
        super().__init__()
        three, ones = (3,) * dims, (1,) * dims
        self.convolution = convolution(widths[0], widths[1], three, ones)
        later = [convolution(before, after, three, ones) for before, after in pairwise(widths[1:])]
        last = convolution(widths[-1], out_channels, ones, ones, bias=bias)
        self.stages = nn.ModuleList(
            nn.Sequential(NormRelu(width), then)
            for width, then in zip(widths[1:], (*later, last), strict=True)
        )

    def forward(
        self, read: Float[Tensor, "b c *s"], columns: Float[Tensor, "d c"]
    ) -> Float[Tensor, "b k *s"]:
        """The maps.

        Args:
            columns: what makes the wide features of the channels that are read.
        """
        kernel = torch.einsum("od...,dc->oc...", self.convolution.weight, columns)
        convolve = F.conv2d if read.dim() == 4 else F.conv3d
        x = convolve(read, kernel, self.convolution.bias, padding=1)
        for stage in self.stages:
            x = recomputed(stage, x)
        # Masks have their voxels innermost, so what is compared with them has too.
        return x.contiguous()


class PerStructure(nn.Module):
    """A linear layer of its own for each structure."""

    def __init__(self, structures: int, before: int, after: int) -> None:
        super().__init__()
        bound = before**-0.5
        self.weight = nn.Parameter(torch.empty(structures, before, after).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(structures, after).uniform_(-bound, bound))

    def forward(self, x: Float[Tensor, "b k c"]) -> Float[Tensor, "b k d"]:
        """What each layer makes of its structure's channels."""
        return torch.einsum("bkc,kcd->bkd", x, self.weight) + self.bias


def _twice(in_channels: int, out_channels: int, dims: int) -> list[nn.Module]:
    """Convolution, normalisation, ReLU, and again."""
    three, ones = (3,) * dims, (1,) * dims
    return [
        convolution(in_channels, out_channels, three, ones),
        NormRelu(out_channels),
        convolution(out_channels, out_channels, three, ones),
        NormRelu(out_channels),
    ]


def _grid(
    prior: str, prior_size: int, spatial_dims: int, img_size: Sequence[int] | None
) -> tuple[int, ...]:
    """Entries of the prior along each axis; what contradicts itself is a ValueError."""
    if spatial_dims not in (2, 3):
        raise ValueError(f"SADAAN: spatial_dims is {spatial_dims}. Fix: 2 or 3.")
    if prior == "coarse":
        if prior_size < 1:
            raise ValueError(f"SADAAN: prior_size is {prior_size}. Fix: at least 1.")
        return (prior_size,) * spatial_dims
    if prior != "full":
        raise ValueError(f"SADAAN: prior is '{prior}'. Fix: coarse or full.")
    if img_size is None or len(img_size) != spatial_dims:
        raise ValueError(
            f"SADAAN: a full prior has a weight per voxel, but img_size is {img_size}. "
            f"Fix: {spatial_dims} numbers of voxels, or prior=coarse."
        )
    return tuple(img_size)


def _stretched(x: Float[Tensor, "k n *r"], length: int) -> Float[Tensor, "k *r m"]:
    """Linear interpolation of the first axis in space to a length; it becomes the last one.

    As a product with a matrix, whose gradient is the same at every run on a GPU too.
    """
    if x.shape[1] == length:
        return x.movedim(1, -1)
    unit = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    matrix = F.interpolate(unit[None], size=length, mode="linear")[0]
    return torch.einsum("kn...,nm->k...m", x, matrix)


def _precise(x: Tensor) -> Tensor:
    """Float32 at least: a sigmoid in half precision is 1 long before its logit is sure."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
