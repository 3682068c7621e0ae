"""The documented pipeline for a sample at a time, on the parts that a training uses."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from delineate.augment import AnatomicElastic, StructureMix
from delineate.augment import Sequence as Changes
from delineate.augment.limits import check_number
from delineate.contracts import Batch, Target
from delineate.systems.brainstem.augmentation import SHARES, bending
from delineate.systems.brainstem.morphogen import WHOLE, calm_lists
from delineate.systems.brainstem.noise import one_noise

__all__ = ["AugmentationPipeline"]

Volume = np.ndarray | Tensor


class AugmentationPipeline:
    """Bends a sample, pastes nuclei of another one into it, and adds noise of one kind.

    Args:
        elastic_prob: of bending a sample.
        noise_prob: of noise in it.
        cutmix_prob: of pasting nuclei, the rarer ones more often.
        morphogen_aware: bend less where the morphogens are strong.
        seed: with the number of a sample it fixes all that is drawn.
    """

    def __init__(
        self,
        elastic_prob: float = 0.8,
        noise_prob: float = 0.6,
        cutmix_prob: float = 0.4,
        morphogen_aware: bool = True,
        *,
        seed: int = 0,
    ) -> None:
        for name, value in (
            ("elastic_prob", elastic_prob),
            ("noise_prob", noise_prob),
            ("cutmix_prob", cutmix_prob),
        ):
            check_number(self, name, value, low=0, high=1)
        self.elastic_prob = elastic_prob
        self.noise_prob = noise_prob
        self.cutmix_prob = cutmix_prob
        self.morphogen_aware = morphogen_aware
        self.seed = seed
        self._number = 0

    def augment_sample(
        self,
        vol: Volume,
        lab: Volume,
        subdiv: Volume | None = None,
        mix_vol: Volume | None = None,
        mix_lab: Volume | None = None,
        *,
        number: int | None = None,
        within: Sequence[tuple[float, float]] = WHOLE,
    ) -> tuple[Volume, Volume]:
        """The changed volume and labels, in the kinds they came in; what came in stays as it was.

        Args:
            vol: (*s), or (c, *s).
            lab: (*s) ids, 0 being the background.
            subdiv: (*s) 1 in the midbrain, 2 in the pons, 3 in the medulla, else 0.
            mix_vol: the sample that nuclei come from, of the same size; None pastes nothing.
            mix_lab: its labels.
            number: of the sample; None counts the calls.
            within: where the sample lies in its volume, as shares of each axis.
        """
        if number is None:
            number, self._number = self._number, self._number + 1
        if (mix_vol is None) != (mix_lab is None):
            raise ValueError("augment_sample: mix_vol and mix_lab go together. Fix: give both.")
        image, ids = _image(vol, lab), torch.as_tensor(lab).long()
        part = torch.zeros_like(ids) if subdiv is None else torch.as_tensor(subdiv).long()
        images, labels = [image], [ids]
        if mix_vol is not None and mix_lab is not None:
            images.append(_image(mix_vol, mix_lab))
            labels.append(torch.as_tensor(mix_lab).long())
        _check(images, [*labels, part])
        # One number for what is one structure in one subdivision: both move together.
        base = int(part.max()) + 1
        codes = torch.stack([ids * base + part, *(own * base for own in labels[1:])])
        masks, table = _numbered(codes)
        batch = Batch(
            image=torch.stack(images),
            target=Target(mask=masks),
            spacing=(1.0,) * ids.dim(),
            cases=("sample", "donor")[: len(images)],
            step=number,
            place=torch.tensor([within] * len(images), dtype=torch.float32),
        )
        subdivisions = (table % base).tolist()
        changes = self._changes(tuple(ids.shape), subdivisions, donor=len(images) > 1)
        draws = [[d[0], None][: len(images)] for d in changes.draw(batch, seed=self.seed)]
        after = changes.apply(batch, draws)
        assert after.target.mask is not None
        found = table[after.target.mask[0]].div(base, rounding_mode="floor")
        return _like(after.image[0], vol), _like(found, lab)

    def _changes(self, patch: tuple[int, ...], subdivisions: list[int], *, donor: bool) -> Changes:
        """The parts; a structure's share is that of its subdivision."""
        shares: dict[int, float] = dict(enumerate(SHARES.values(), 1))
        elastic = AnatomicElastic(
            shares={c: shares.get(part, 1.0) for c, part in enumerate(subdivisions)},
            calm=calm_lists() if self.morphogen_aware else (),
            intervals=bending(patch)["intervals"],
            strength=tuple(bending(patch)["strength"]),
            probability=self.elastic_prob,
        )
        mix = [StructureMix(probability=self.cutmix_prob)] if donor else []
        return Changes([elastic, *mix, one_noise(probability=self.noise_prob)], patch=patch)


def _numbered(codes: Tensor) -> tuple[Tensor, Tensor]:
    """Each code by its place in a table, and the table; that of 0 is first."""
    known, numbers = codes.unique(return_inverse=True)
    table = torch.cat((known.new_zeros(1), known[known != 0]))
    place = torch.where(known == 0, 0, (known != 0).cumsum(0))
    return place[numbers], table


def _image(vol: Volume, lab: Volume) -> Tensor:
    """(c, *s) float32."""
    image = torch.as_tensor(vol).float()
    return image if image.dim() > np.ndim(lab) else image[None]


def _check(images: list[Tensor], labels: list[Tensor]) -> None:
    if labels[0].dim() != 3:
        raise ValueError(
            f"augment_sample: labels of {tuple(labels[0].shape)}. Fix: three axes, no channels."
        )
    sizes = {tuple(image.shape) for image in images}
    spaces = {tuple(own.shape) for own in labels} | {size[1:] for size in sizes}
    if len(sizes) > 1 or len(spaces) > 1:
        raise ValueError(
            f"augment_sample: volumes of {sorted(sizes)} with labels and subdivisions of "
            f"{sorted(spaces)} voxels. Fix: one size for all."
        )


def _like(tensor: Tensor, given: Volume) -> Volume:
    """In the kind, type and number of axes of what was given."""
    tensor = tensor.view(given.shape)
    if isinstance(given, Tensor):
        return tensor.to(given.dtype if not given.is_floating_point() else torch.float32)
    kind = given.dtype if np.issubdtype(given.dtype, np.integer) else np.dtype(np.float32)
    return tensor.numpy().astype(kind)
