"""The names in a BIDS tree: which files are anatomical images, and which masks belong to each."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from delineate.datasets.listing import natural
from delineate.io import is_image, stem

__all__ = ["Image", "Mask", "find_images"]

_MASK = re.compile(
    r"(?P<image>sub-.+?)_(?P<kind>(?:label-[^_]+_)?(?:desc-[^_]+_)?"
    r"(?!probseg)(?:[a-z]*seg|mask|lesions?)(?:-[A-Za-z0-9]+)*(?:_desc-[^_]+)?)"
)
_IMAGE = re.compile(r"(?P<entities>sub-[^_]+(?:_[a-zA-Z]+-[^_]+)*)_(?P<contrast>[A-Za-z0-9]+)")
_RATER = re.compile(r"[-_](?:desc-)?rater-?[A-Za-z0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mask:
    """A mask file, its name taken apart."""

    path: Path
    image: str
    """The part of the name that comes from the image."""
    kind: str
    """The rest, such as 'seg-manual' or 'label-L_desc-T1lesion_mask'."""

    @property
    def task(self) -> str:
        """The kind whoever drew it: 'lesion-manual' of 'lesion-manual-rater2'."""
        return _RATER.sub("", self.kind)

    @property
    def pipeline(self) -> str:
        """The folder below derivatives/; empty for a mask beside its image."""
        parts = self.path.parts
        return parts[parts.index("derivatives") + 1] if "derivatives" in parts else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An anatomical image, its name taken apart, and all masks of it."""

    path: Path
    entities: str
    """The name up to the contrast: 'sub-01_ses-1_acq-iso'."""
    contrast: str
    masks: list[Mask] = field(default_factory=list)

    @property
    def subject(self) -> str:
        """'sub-01'."""
        return self.entities.partition("_")[0]

    @property
    def session(self) -> str:
        """'sub-01_ses-1', or 'sub-01' where there are no sessions."""
        session = re.search(r"_ses-[^_]+", self.entities)
        return self.subject + (session.group() if session else "")

    def is_contrast(self, name: str) -> bool:
        """Whether the name ends in the contrast, which may include entities: 'acq-T1w_MTS'."""
        return f"{self.entities}_{self.contrast}".endswith(f"_{name}")


def find_images(root: Path) -> tuple[list[Image], list[Mask]]:
    """All images in anat folders with their masks, and the masks whose image is absent.

    Images inside derivatives/ count only where there is none outside.
    """
    images: list[Image] = []
    masks: list[Mask] = []
    for path in sorted(filter(is_image, root.rglob("sub-*_*.nii*")), key=lambda p: natural(p.name)):
        name = stem(path)
        if match := _MASK.fullmatch(name):
            masks.append(Mask(path=path, image=match["image"], kind=match["kind"]))
        elif path.parent.name == "anat" and (match := _IMAGE.fullmatch(name)):
            entities, contrast = match["entities"], match["contrast"]
            images.append(Image(path=path, entities=entities, contrast=contrast))
    raw = [image for image in images if "derivatives" not in image.path.relative_to(root).parts]
    images = raw or images
    return images, _attach(images, masks)


def _attach(images: list[Image], masks: list[Mask]) -> list[Mask]:
    """Give each mask to the image that it names, else to all of its entities; return the rest."""
    by_name: dict[str, list[Image]] = {}
    for image in images:
        by_name.setdefault(stem(image.path), []).append(image)
        by_name.setdefault(image.entities, []).append(image)
    loose = []
    for mask in masks:
        for image in by_name.get(mask.image, ()):
            image.masks.append(mask)
        if mask.image not in by_name:
            loose.append(mask)
    return loose
