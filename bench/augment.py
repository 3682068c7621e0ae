"""Augmented patches a second: our chain against batchgeneratorsv2 (nnU-Net), MONAI and TorchIO.

    python bench/augment.py [--patch N ...] [--seconds S]

nnU-Net's default transforms, ranges and probabilities are done by nnU-Net itself, by us and, as far
as it has them, by MONAI. TorchIO's usual chain (elastic bending and bias fields beside affine maps,
noise, blur, gamma, low resolution and mirrors) is done by TorchIO and by us. Everybody starts from
the enlarged patch that they would read; ours come as a batch. The sides take turns in processes of
their own. Two cores can run one process with two threads or two with one: the faster one counts. On
a card our chains run there too, against the others on the CPU.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from figure import Figure, say
from sides import THREADS, run_side
from torch import Tensor

PATCHES = (64, 128)
AT_ONCE = {"cpu": 8, "cuda": 32}
"""Patches of up to 64^3 in our batch; larger ones are fewer."""
LEAST = 16
"""Patches that are timed, however long they take."""
TURN, SCALE = 30.0, (0.7, 1.4)

Some = Callable[[], int]
"""Augments some patches, and says how many."""


def scan(size: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """A smooth image (1, *s) and a mask of ids (1, *s), five classes thick."""
    from scipy.ndimage import gaussian_filter

    noise = np.random.default_rng(seed).standard_normal((size,) * 3).astype(np.float32)
    image = gaussian_filter(noise, 4)
    image = (image - image.mean()) / image.std()
    ids = np.digitize(image, (-1.0, 0.0, 1.0, 2.0)).astype(np.int16)
    return torch.from_numpy(image)[None], torch.from_numpy(ids)[None]


def ours(patch: int, device: str, *, bends: bool = False) -> Some:
    """A batch at a time; with `bends` TorchIO's kinds of transforms instead of nnU-Net's."""
    from delineate import augment as a
    from delineate.contracts import Batch, Target

    spatial = [a.Flip(axes=None), a.Affine(rotation_degrees=TURN, scale=SCALE, probability=0.2)]
    nnunet = [
        a.GaussianNoise(probability=0.1),
        a.GaussianBlur(probability=0.2),
        a.Brightness(probability=0.15),
        a.Contrast(probability=0.15),
        a.LowResolution(probability=0.25),
        a.Gamma(probability=0.1, inverted=True),
        a.Gamma(probability=0.3),
    ]
    torchio = [
        a.Elastic(probability=0.2),
        a.GaussianNoise(probability=0.1),
        a.GaussianBlur(probability=0.2),
        a.BiasField(probability=0.15),
        a.Gamma(probability=0.3),
        a.LowResolution(probability=0.25),
    ]
    chain = a.Sequence([*spatial, *(torchio if bends else nnunet)], patch=(patch,) * 3)
    spacing = (1.0, 1.0, 1.0)
    size = chain.read_patch(spacing)[0]
    number = max(1, AT_ONCE[device] * 64**3 // max(64, patch) ** 3)
    scans = [scan(size, seed) for seed in range(min(2, number))]
    image, mask = (torch.stack([s[i] for s in scans] * number)[:number] for i in range(2))
    image, mask = image.to(device), mask[:, 0].long().to(device)
    step = 0

    def some() -> int:
        nonlocal step
        step += 1
        names = ("scan",) * number
        given = Batch(
            image=image, target=Target(mask=mask), spacing=spacing, cases=names, step=step
        )
        _check(chain(given, seed=0).image[0], patch)
        return number

    return some


def ours_bending(patch: int, device: str) -> Some:
    """TorchIO's kinds of transforms, done by us."""
    return ours(patch, device, bends=True)


def batchgenerators(patch: int, device: str) -> Some:
    """nnU-Net's own default, from its own enlarged patch."""
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    angles = (-np.deg2rad(TURN), np.deg2rad(TURN))
    chain = nnUNetTrainer.get_training_transforms(
        (patch,) * 3, angles, None, (0, 1, 2), False, use_mask_for_norm=None
    )
    image, mask = scan(nnunet_size(patch))
    return _one(lambda: chain(image=image.clone(), segmentation=mask.clone())["image"], patch)


def monai(patch: int, device: str) -> Some:
    """nnU-Net's default in MONAI's words."""
    import monai.transforms as m

    both, only = ["image", "mask"], ["image"]
    turn, (low, high) = np.deg2rad(TURN), SCALE
    chain = m.Compose(
        [
            m.RandAffined(
                both,
                # Rotation and scaling are one draw here: 0.2 or 0.2 of nnU-Net's two.
                prob=0.36,
                rotate_range=(turn,) * 3,
                scale_range=((low - 1, high - 1),) * 3,
                mode=("bilinear", "nearest"),
                padding_mode="zeros",
                spatial_size=(patch,) * 3,
            ),
            m.RandGaussianNoised(only, prob=0.1),
            m.RandGaussianSmoothd(only, prob=0.2, **dict.fromkeys(_SIGMAS, (0.5, 1.0))),
            m.RandScaleIntensityd(only, 0.25, prob=0.15),
            m.RandScaleIntensityFixedMeand(only, factors=0.25, prob=0.15, preserve_range=True),
            m.RandSimulateLowResolutiond(only, prob=0.25, zoom_range=(0.5, 1.0)),
            m.RandAdjustContrastd(only, prob=0.1, gamma=(0.7, 1.5), invert_image=True),
            m.RandAdjustContrastd(only, prob=0.3, gamma=(0.7, 1.5), retain_stats=True),
            *(m.RandFlipd(both, prob=0.5, spatial_axis=axis) for axis in range(3)),
        ]
    )
    image, mask = scan(nnunet_size(patch))
    return _one(lambda: chain({"image": image.clone(), "mask": mask.clone()})["image"], patch)


_SIGMAS = ("sigma_x", "sigma_y", "sigma_z")


def torchio(patch: int, device: str) -> Some:
    """Its usual chain, at the probabilities that ours has for the same."""
    import torchio as t

    chain = t.Compose(
        [
            t.RandomAffine(scales=(*SCALE,), degrees=TURN, p=0.36),
            t.RandomElasticDeformation(p=0.2),
            t.RandomNoise(std=(0, 0.1), p=0.1),
            t.RandomBlur(std=(0.5, 1.0), p=0.2),
            t.RandomBiasField(p=0.15),
            t.RandomGamma(p=0.3),
            t.RandomAnisotropy(p=0.25),
            t.RandomFlip(axes=(0, 1, 2), flip_probability=0.5),
            t.CropOrPad((patch,) * 3),
        ]
    )
    image, mask = scan(nnunet_size(patch))
    subject = t.Subject(image=t.ScalarImage(tensor=image), mask=t.LabelMap(tensor=mask))
    return _one(lambda: chain(subject)["image"].data, patch)


def nnunet_size(patch: int) -> int:
    """How many voxels an axis nnU-Net reads for a patch that is to be turned and scaled."""
    from nnunetv2.training.data_augmentation.compute_initial_patch_size import get_patch_size

    turn = float(np.deg2rad(TURN))
    return int(get_patch_size((patch,) * 3, turn, turn, turn, (0.85, 1.25))[0])


def _one(change: Callable[[], Tensor], patch: int) -> Some:
    def some() -> int:
        _check(change(), patch)
        return 1

    return some


def _check(image: Tensor, patch: int) -> None:
    if tuple(image.shape) != (1, *(patch,) * 3):
        sys.exit(f"augment: a patch came out as {tuple(image.shape)}")


SIDES: dict[str, Callable[[int, str], Some]] = {
    "ours": ours,
    "ours_bending": ours_bending,
    "batchgenerators": batchgenerators,
    "monai": monai,
    "torchio": torchio,
}
PEERS = {
    # our chain; the peer's name and its module; how many times as fast we want to be there
    "batchgenerators": ("ours", "batchgeneratorsv2", "nnunetv2", {"cpu": 4.0, "cuda": 100.0}),
    "monai": ("ours", "MONAI", "monai", {"cpu": None, "cuda": None}),
    "torchio": ("ours_bending", "TorchIO", "torchio", {"cpu": 40.0, "cuda": None}),
}


def time_side(
    side: str, patch: int, device: str, *, seconds: float, threads: int
) -> dict[str, float]:
    """Patches a second of one process."""
    torch.set_num_threads(threads)
    some = SIDES[side](patch, device)
    for _ in range(3):
        some()
    _wait(device)
    number, started = 0, time.perf_counter()
    while number < LEAST or time.perf_counter() - started < seconds:
        number += some()
        _wait(device)
    return {"rate": number / (time.perf_counter() - started)}


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def rate(side: str, patch: int, device: str, *, seconds: float) -> float:
    """Patches a second of both cores in their better arrangement, or of the card."""

    def together(copies: int, threads: int) -> float:
        words = ["--side", side, "--patch", patch, "--device", device, "--seconds", seconds]
        words += ["--threads", threads]
        results = run_side(__file__, words, copies=copies, threads=threads)
        return sum(result["rate"] for result in results)

    if device == "cuda":
        return together(1, THREADS)
    return max(together(1, THREADS), together(THREADS, 1))


def compare(patch: int, device: str, known: dict[str, float], *, seconds: float) -> None:
    """Say our rate on the device against each peer's on the CPU, which is measured once."""
    mine: dict[str, float] = {}
    for side, (own, name, module, bars) in PEERS.items():
        if find_spec(module) is None:
            say(f"augment: {module} is not installed here, its line is left out. Fix: make bench")
            continue
        if own not in mine:
            mine[own] = rate(own, patch, device, seconds=seconds)
        if side not in known:
            known[side] = rate(side, patch, "cpu", seconds=seconds)
        say(
            Figure(
                work=f"augment {patch}^3 on {device}",
                peer=f"{name} on {THREADS} cores",
                ours=mine[own],
                theirs=known[side],
                unit="patches/s",
                bar=bars[device],
            )
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patch", type=int, nargs="+", default=PATCHES)
    parser.add_argument("--seconds", type=float, default=6.0, help="of timing in each process")
    parser.add_argument("--device", default="cpu", help="of --side")
    parser.add_argument("--threads", type=int, default=THREADS, help="of --side")
    parser.add_argument("--side", choices=SIDES, help="time one side in this process")
    asked: Any = parser.parse_args()
    if asked.side:
        found = time_side(
            asked.side,
            asked.patch[0],
            asked.device,
            seconds=asked.seconds,
            threads=asked.threads,
        )
        print(json.dumps(found))
        return
    for patch in asked.patch:
        known: dict[str, float] = {}
        for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
            compare(patch, device, known, seconds=asked.seconds)


if __name__ == "__main__":
    main()
