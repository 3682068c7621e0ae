"""Good data sets to be spoilt, and some thirty ways to spoil one case of them."""

import gzip
import json
import struct
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np

__all__ = ["FAULTS", "NEED_A_TWIN", "Folder", "describe", "twins", "write_folder"]


class Folder:
    """A data set in the Decathlon layout, to be spoilt."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.cases = sorted(p.name.removesuffix(".nii.gz") for p in (root / "imagesTr").iterdir())

    def image(self, case: str) -> Path:
        return self.root / "imagesTr" / f"{case}.nii.gz"

    def label(self, case: str) -> Path:
        return self.root / "labelsTr" / f"{case}.nii.gz"

    def change(self, path: Path, edit: Callable, affine: Callable = lambda a: a) -> None:
        """Rewrite a file: edit(voxels), affine(affine)."""
        scan = nib.nifti1.load(path)
        voxels = edit(np.asanyarray(scan.dataobj).copy())
        scan = nib.nifti1.Nifti1Image(voxels, affine(scan.affine.copy()))
        path.unlink()
        nib.save(scan, path)


def write_folder(root: Path, cases: int = 30, seed: int = 0) -> Folder:
    """Noisy volumes with two bright blocks, of a few shapes, as masks say."""
    rng = np.random.default_rng(seed)
    for part in ("imagesTr", "labelsTr"):
        (root / part).mkdir(parents=True)
    for i in range(cases):
        shape = [(18, 16, 14), (16, 18, 14)][i % 2]
        mask = np.zeros(shape, np.uint8)
        x, y, z = rng.integers(2, 5, 3)
        a, b, c = rng.integers(3, 6, 3)
        mask[x : x + a, y : y + b, z : z + c] = 1
        mask[x : x + b, y + 6 : y + 6 + c, z : z + a] = 2
        image = (rng.normal(100, 15, shape) + 60.0 * mask).astype(np.float32)
        affine = np.diag([-1.0, 1.2, 1.5, 1.0])
        affine[:3, 3] = rng.uniform(-20, 20, 3)
        nib.save(nib.nifti1.Nifti1Image(image, affine), root / "imagesTr" / f"case_{i:02d}.nii.gz")
        nib.save(nib.nifti1.Nifti1Image(mask, affine), root / "labelsTr" / f"case_{i:02d}.nii.gz")
    return describe(root)


def describe(root: Path) -> Folder:
    """Add the dataset.json that lists what is in the folder."""
    folder = Folder(root)
    pairs = [
        {"image": f"./imagesTr/{case}.nii.gz", "label": f"./labelsTr/{case}.nii.gz"}
        for case in folder.cases
    ]
    data = {
        "modality": {"0": "MRI"},
        "labels": {"0": "background", "1": "Anterior", "2": "Posterior"},
        "training": pairs,
        "test": [],
    }
    (root / "dataset.json").write_text(json.dumps(data))
    return folder


# Each fault takes the folder, a case and a second case of the same shape, and names what is to be
# found: kinds for the case, or for both.


def cut_file(folder: Folder, case: str, _: str) -> list[str]:
    path = folder.image(case)
    path.write_bytes(path.read_bytes()[:-200])
    return ["unreadable"]


def cut_checksum(folder: Folder, case: str, _: str) -> list[str]:
    path = folder.label(case)
    path.write_bytes(path.read_bytes()[:-4])
    return ["unreadable"]


def flip_a_bit(folder: Folder, case: str, _: str) -> list[str]:
    path = folder.image(case)
    data = bytearray(path.read_bytes())
    data[-6] ^= 1  # in the checksum
    path.write_bytes(bytes(data))
    return ["unreadable"]


def fill_with_text(folder: Folder, case: str, _: str) -> list[str]:
    folder.label(case).write_text("404 not found")
    return ["unreadable"]


def empty_file(folder: Folder, case: str, _: str) -> list[str]:
    folder.image(case).write_bytes(b"")
    return ["unreadable"]


def lie_about_shape(folder: Folder, case: str, _: str) -> list[str]:
    path = folder.image(case)
    data = bytearray(gzip.decompress(path.read_bytes()))
    (size,) = struct.unpack_from("<h", data, 46)
    struct.pack_into("<h", data, 46, size - 3)
    path.write_bytes(gzip.compress(bytes(data)))
    return ["size-mismatch", "shape-mismatch"]


def lose_label(folder: Folder, case: str, _: str) -> list[str]:
    folder.label(case).unlink()
    return ["missing-label"]


def lose_image(folder: Folder, case: str, _: str) -> list[str]:
    folder.image(case).unlink()
    return ["missing-image"]


def cut_slice(folder: Folder, case: str, _: str) -> list[str]:
    folder.change(folder.label(case), lambda v: v[..., :-1])
    return ["shape-mismatch"]


def transpose_label(folder: Folder, case: str, _: str) -> list[str]:
    folder.change(folder.label(case), lambda v: v.transpose(1, 2, 0))
    return ["shape-mismatch"]


def shift_label(folder: Folder, case: str, _: str) -> list[str]:
    folder.change(folder.label(case), lambda v: v, _moved(3.0))
    return ["grid-mismatch"]


def _moved(mm: float) -> Callable:
    def move(affine: np.ndarray) -> np.ndarray:
        affine[2, 3] += mm
        return affine

    return move


def flip_header(folder: Folder, case: str, _: str) -> list[str]:
    folder.change(folder.label(case), lambda v: v, lambda a: a * [[-1], [1], [1], [1]])
    return ["grid-mismatch"]


def lose_header(folder: Folder, case: str, _: str) -> list[str]:
    folder.change(folder.label(case), lambda v: v, lambda a: np.diag([3.0, 3.0, 3.0, 1.0]))
    return ["grid-mismatch"]


def mark_undeclared(folder: Folder, case: str, _: str) -> list[str]:
    folder.change(folder.label(case), lambda v: np.where(np.indices(v.shape).sum(0) == 9, 7, v))
    return ["undeclared-value"]


def mark_255(folder: Folder, case: str, _: str) -> list[str]:
    folder.change(folder.label(case), lambda v: ((v > 0) * 255).astype(np.uint8))
    return ["undeclared-value"]


def mark_negative(folder: Folder, case: str, _: str) -> list[str]:
    folder.change(folder.label(case), lambda v: v.astype(np.int16) - (v == 2) * np.int16(3))
    return ["undeclared-value"]


def blur_label(folder: Folder, case: str, _: str) -> list[str]:
    folder.change(folder.label(case), lambda v: (v * 0.8).astype(np.float32))
    return ["float-label"]


def put_nan_in_label(folder: Folder, case: str, _: str) -> list[str]:
    def edit(voxels: np.ndarray) -> np.ndarray:
        voxels = voxels.astype(np.float32)
        voxels[0, 0, 0] = np.nan
        return voxels

    folder.change(folder.label(case), edit)
    return ["not-finite"]


def put_nan(folder: Folder, case: str, _: str) -> list[str]:
    def edit(voxels: np.ndarray) -> np.ndarray:
        voxels = voxels.astype(np.float32)
        voxels[1, 2, 3] = np.nan
        return voxels

    folder.change(folder.image(case), edit)
    return ["not-finite"]


def put_infinity(folder: Folder, case: str, _: str) -> list[str]:
    def edit(voxels: np.ndarray) -> np.ndarray:
        voxels = voxels.astype(np.float64)
        voxels[1, 2, 3:5] = np.inf, -np.inf
        return voxels

    folder.change(folder.image(case), edit)
    return ["not-finite"]


def blacken_image(folder: Folder, case: str, _: str) -> list[str]:
    folder.change(folder.image(case), lambda v: v * 0)
    return ["constant-image"]


def blacken_label(folder: Folder, case: str, _: str) -> list[str]:
    folder.change(folder.label(case), lambda v: v * 0)
    return ["empty-label"]


def add_channel(folder: Folder, case: str, _: str) -> list[str]:
    folder.change(folder.image(case), lambda v: np.stack([v, v[::-1] ** 2], axis=-1))
    return ["channel-count"]


def show_label(folder: Folder, case: str, _: str) -> list[str]:
    folder.change(folder.label(case), lambda v: v.astype(np.uint8))
    scan = nib.nifti1.load(folder.label(case))
    voxels = (np.asanyarray(scan.dataobj) * 100.0).astype(np.float32)
    nib.save(nib.nifti1.Nifti1Image(voxels, scan.affine), folder.image(case))
    return ["image-is-label"]


def stretch(folder: Folder, case: str, _: str) -> list[str]:
    for path in (folder.image(case), folder.label(case)):
        folder.change(path, lambda v: v, lambda a: a @ np.diag([4, 1, 1, 1.0]))
    return ["odd-spacing"]


def enlarge(folder: Folder, case: str, _: str) -> list[str]:
    for path in (folder.image(case), folder.label(case)):
        folder.change(path, lambda v: np.pad(v, ((0, 3 * v.shape[0]), (0, 0), (0, 0))))
    return ["odd-size"]


def copy_label(folder: Folder, case: str, other: str) -> list[str]:
    voxels = np.asanyarray(nib.nifti1.load(folder.label(other)).dataobj)
    folder.change(folder.label(case), lambda v: np.rint(voxels).astype(np.int16))
    return ["copied-label", "copied-label of both"]


def copy_image(folder: Folder, case: str, other: str) -> list[str]:
    voxels = np.asanyarray(nib.nifti1.load(folder.image(other)).dataobj)
    folder.change(folder.image(case), lambda v: voxels.astype(np.float64) * 0.37 + 12)
    return ["duplicate-image", "duplicate-image of both"]


def copy_image_in_bytes(folder: Folder, case: str, other: str) -> list[str]:
    voxels = np.asanyarray(nib.nifti1.load(folder.image(other)).dataobj).astype(float)
    scaled = (voxels - voxels.min()) / (voxels.max() - voxels.min()) * 255
    folder.change(folder.image(case), lambda v: scaled.astype(np.uint8))
    return ["duplicate-image", "duplicate-image of both"]


FAULTS = [
    cut_file, cut_checksum, flip_a_bit, fill_with_text, empty_file, lie_about_shape, lose_label,
    lose_image, cut_slice, transpose_label, shift_label, flip_header, lose_header, mark_undeclared,
    mark_255, mark_negative, blur_label, put_nan_in_label, put_nan, put_infinity, blacken_image,
    blacken_label, add_channel, show_label, stretch, enlarge, copy_label, copy_image,
    copy_image_in_bytes,
]  # fmt: skip


NEED_A_TWIN = (copy_label, copy_image, copy_image_in_bytes)


def twins(folder: Folder) -> list[tuple[str, str]]:
    """Pairs of cases of equal shape, each case once."""
    waiting: dict[tuple[int, ...], str] = {}
    pairs = []
    for case in folder.cases:
        shape = nib.nifti1.load(folder.image(case)).shape
        if shape in waiting:
            pairs.append((case, waiting.pop(shape)))
        else:
            waiting[shape] = case
    return pairs
