"""Reading the slices of a spine experiment: ours against a plain PyTorch data set.

    python bench/spine_data.py [--work NAME] [--steps EPOCHS] [--rounds N]

96 drawn pictures of 512x512 with masks as PNG: decode, resize to 320x320, the augmentation of the
documented YAML files by albumentations, batches of 16, on one thread. `plain` is what one writes:
Pillow, `albumentations.Compose` and PyTorch's own loader. `uncached` is ours without the cache,
`cached` ours from the second epoch on, where the slices are kept as the steps without chance leave
them. Processor time is taken, which other programs disturb little; the median epoch counts.
"""

import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from figure import Figure, say
from turns import command_line, medians, take_turns

DRAWN, SIZE, WANTED, BATCH = 96, 512, 320, 16
THREADS = 1
BOTH = ["data", "label"]
LIGHT = [
    ("HorizontalFlip", {"p": 0.5}, BOTH),
    (
        "RandomBrightnessContrast",
        {"brightness_limit": 0.2, "contrast_limit": 0.2, "p": 0.3},
        ["data"],
    ),
    ("Rotate", {"limit": 15, "interpolation": 1, "border_mode": 4, "p": 0.3}, BOTH),
]
FULL = [
    ("Blur", {"blur_limit": 3, "p": 0.2}, ["data"]),
    LIGHT[0],
    LIGHT[1],
    ("GaussNoise", {"var_limit": [10, 50], "mean": 0, "per_channel": True, "p": 0.2}, ["data"]),
    ("RandomCrop", {"height": 300, "width": 300, "p": 0.3}, BOTH),
    ("Resize", {"height": WANTED, "width": WANTED}, BOTH),
    LIGHT[2],
]
WORKS = {"segmentation": FULL, "light": LIGHT}
BARS = {"uncached": 1.0, "cached": 3.0}
SIDES = ("plain", "uncached", "cached")

Epoch = Callable[[], Iterable[Any]]


def draw(root: Path) -> None:
    """Pictures with the grain of a scan, and masks."""
    from PIL import Image
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(0)
    for number in range(DRAWN):
        noise = gaussian_filter(rng.standard_normal((SIZE, SIZE), np.float32), 3)
        grain = 80 + 400 * noise + 4 * rng.standard_normal((SIZE, SIZE))
        for role, array in (("images", grain), ("masks", (noise > 0.1) * 255)):
            folder = root / "a" / "train" / role
            folder.mkdir(parents=True, exist_ok=True)
            pixels = np.clip(array, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"patient{number}.png")


class Plain(torch.utils.data.Dataset):
    """What one writes without a framework."""

    def __init__(self, root: Path, chain: list[tuple[str, dict, list[str]]]) -> None:
        import albumentations as A

        self.images = sorted((root / "a" / "train" / "images").iterdir())
        steps = [A.Resize(height=WANTED, width=WANTED)]
        steps += [getattr(A, name)(**params) for name, params, _ in chain]
        self.change = A.Compose([*steps, A.ToFloat(max_value=255)])

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        from PIL import Image

        path = self.images[index]
        image = np.array(Image.open(path).convert("L"))
        mask = (np.array(Image.open(path.parents[1] / "masks" / path.name)) > 0).astype(np.uint8)
        found = self.change(image=image, mask=mask)
        return torch.from_numpy(found["image"])[None], torch.from_numpy(found["mask"])[None].float()


def plain(root: Path, chain: list[tuple[str, dict, list[str]]]) -> Epoch:
    loader = torch.utils.data.DataLoader(Plain(root, chain), batch_size=BATCH, shuffle=True)
    return lambda: loader


def ours(root: Path, chain: list[tuple[str, dict, list[str]]], *, cache: bool) -> Epoch:
    from delineate.systems.spine.samples.loading import make_loaders
    from delineate.systems.spine.schema.settings import Experiment

    steps = [{"name": "load_segmentation_label", "target": ["label"]}]
    size = {"height": WANTED, "width": WANTED}
    steps += [{"name": "alb.Resize", "params": size, "target": BOTH}, {"name": "to_gray"}]
    steps += [
        {"name": f"alb.{name}", "params": params, "target": target, "phase": ["train"]}
        for name, params, target in chain
    ]
    steps += [{"name": "alb.ToFloat", "params": {"max_value": 255}}, {"name": "alb.ToTensorV2"}]
    crawler = {"name": "segmentation_file", "params": {"split": {"train": 1}}}
    asked = Experiment.model_validate(
        {
            "project_name": "bench",
            "experiment_name": "bench",
            "directory": {"log": root / "log", "data": root},
            "model": {"name": "UNET", "loss": "DiceLoss"},
            "data": {
                "dataset": {"a": {"path": "a", "crawler": crawler}},
                "preprocess": steps,
                "cache": cache,
            },
            "trainer": {"epochs": 1, "loader": {"batch_size": BATCH}},
            "path": root / "bench.yaml",
        }
    )
    loader = make_loaders(asked).train
    if cache:
        for _ in loader:
            pass
    return lambda: loader


MAKERS: dict[str, Callable[..., Epoch]] = {
    "plain": plain,
    "uncached": lambda root, chain: ours(root, chain, cache=False),
    "cached": lambda root, chain: ours(root, chain, cache=True),
}


def measure(side: str, work: str, *, steps: int) -> dict[str, Any]:
    """Processor seconds a slice, of each epoch, on one thread."""
    import cv2

    cv2.setNumThreads(THREADS)
    torch.set_num_threads(THREADS)
    with tempfile.TemporaryDirectory() as folder:
        draw(Path(folder))
        epoch = MAKERS[side](Path(folder), WORKS[work])
        seconds = []
        for _ in range(steps):
            started = time.process_time()
            count = sum(len(batch) if side != "plain" else len(batch[0]) for batch in epoch())
            seconds.append((time.process_time() - started) / count)
    return {"seconds": seconds}


def compare(work: str, *, steps: int, rounds: int) -> None:
    """One line of the results for each of our ways."""
    found = take_turns(__file__, SIDES, work, steps=steps, rounds=rounds, unit="slice")
    middle = medians(found, "seconds")
    for side, bar in BARS.items():
        say(
            Figure(
                work=f"a slice of the {work} chain, {side}",
                peer="plain PyTorch",
                ours=middle[side],
                theirs=middle["plain"],
                unit="s",
                bar=bar,
            )
        )


def main() -> None:
    command_line(
        __doc__.splitlines()[0], WORKS, SIDES, measure=measure, compare=compare, unit="epochs"
    )


if __name__ == "__main__":
    main()
