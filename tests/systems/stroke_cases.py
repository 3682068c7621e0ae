"""ATLAS-like cases: real lesion masks painted into a real T1 template, at 5 mm."""

from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel import nifti1
from scipy.ndimage import gaussian_filter

STEP = 5
"""Voxels of the template in one of a case, along each axis."""
MASK = "_label-L_desc-T1lesion_mask.nii.gz"
TINY = """\
model: {input_shape: [16, 16, 16], base_filters: 8, depth: 2}
training: {epochs: 2, batch_size: 2, learning_rate: 0.003, validation_split: 0.5, patience: 50}
data: {data_dir: Atlas_2, num_workers: 0}
hardware: {device: cpu}
stages:
  stage1_basic: {epochs: 2}
  stage2_attention: {epochs: 2}
  stage3_hybrid_small: {epochs: 2}
"""
"""A configuration of the documented form that trains in seconds."""


def names(number: int, *, sites: int) -> list[str]:
    """The names of scans as ATLAS 2.0 has them, of several sites in turn."""
    return [
        f"sub-r{1 + i % sites:03}s{i + 1:03}_ses-1_space-MNI152NLin2009aSym" for i in range(number)
    ]


def write_atlas(data: Path, root: Path, *, cases: int = 6, tests: int = 1, sites: int = 3) -> Path:
    """`root` in the flat form; each case of another contrast, bias and noise.

    Args:
        data: the folder of real data.
        tests: scans without a mask in Testing.
    """
    source = data / "stroke_lesion_masks"
    template = _smaller(source / "template_T1.nii.gz")
    masks = [_smaller(path) for path in sorted(source.glob("Subject_*.nii.gz"))]
    masks = [mask > 0.5 for mask in masks if (mask > 0.5).sum() >= 30]
    for i, name in enumerate(names(cases + tests, sites=sites)):
        lesion, rng = masks[i % len(masks)], np.random.default_rng(i)
        part = root / ("Training" if i < cases else "Testing")
        save(part / "Images" / f"{name}_T1w.nii.gz", paint(template, lesion, rng))
        if i < cases:
            save(part / "Masks" / f"{name}{MASK}", lesion.astype(np.uint8))
    return root


def paint(template: np.ndarray, lesion: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The template with a dark lesion; the air around the head stays zero."""
    depth = rng.uniform(0.5, 0.8) * gaussian_filter(lesion.astype(float), 0.4)
    grey = template * (1 - depth)
    field = gaussian_filter(rng.normal(size=template.shape), 6)
    bias = 1 + 0.15 * field / np.abs(field).max()
    noisy = grey * bias * rng.uniform(0.7, 1.5) + rng.normal(0, 4, template.shape)
    return np.where(template > 5, np.maximum(noisy, 1), 0).astype(np.float32)


def save(path: Path, array: np.ndarray, spacing: Sequence[float] = (STEP,) * 3) -> None:
    """A NIfTI file; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, np.diag([*spacing, 1.0])), path)


def _smaller(path: Path) -> np.ndarray:
    """The mean of each block of voxels."""
    array = np.asarray(nifti1.load(path).dataobj, np.float32)
    cut = array[tuple(slice(n // STEP * STEP) for n in array.shape)]
    blocks = [size for n in cut.shape for size in (n // STEP, STEP)]
    return cut.reshape(blocks).mean((1, 3, 5))
