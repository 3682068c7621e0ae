"""One training step of SADAAN: ours against a literal implementation of the published one.

    python bench/sadaan_step.py [--work published|tiny] [--steps N] [--rounds N]

13 structures, a batch of 4 images of 64x64x32, on a CPU, without augmentation. Both networks have
a prior with a weight per voxel and the same number of weights; AdamW moves them, their gradients
are cut at a norm of 0.5. We run our engine's step in the precision that `choose_precision` takes,
with all seven terms of the loss; the literal one computes the six that the published one does. The
sides take turns, each time in a process of its own; the first step of a process is not counted.
Memory is the peak of the process above what it held before there was a network.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from figure import Figure, say
from sadaan_literal import WEIGHTS, Literal, literal_loss
from sides import THREADS
from sliding import memory
from torch import Tensor, nn
from turns import command_line, medians, peaks, refuse_unequal, take_turns

BAR, LEANER = 2.0, 3.0
"""How many times as fast as the literal one, and how many times less memory."""
CLIP, RATE, DECAY = 0.5, 5e-4, 1e-4
FOCAL = 1.0
"""The documented weight of the term that the literal loss does not have."""


@dataclass(frozen=True)
class Work:
    """A batch of images."""

    batch: int
    size: tuple[int, int, int]
    structures: int


WORKS = {"published": Work(4, (64, 64, 32), 13), "tiny": Work(2, (16, 16, 16), 2)}

Step = Callable[[], Any]


def batch(work: Work) -> tuple[Tensor, Tensor, Tensor]:
    """Images, masks and what is present, the same for both sides; about a fifth is absent."""
    generator = torch.Generator().manual_seed(0)
    image = torch.randn((work.batch, 1, *work.size), generator=generator)
    shape = (work.batch, work.structures)
    presence = (torch.rand(shape, generator=generator) > 0.2).long()
    masks = (torch.rand((*shape, *work.size), generator=generator) > 0.9).float()
    return image, masks * presence.view(*shape, 1, 1, 1), presence


def ours(work: Work) -> tuple[nn.Module, Step]:
    """The engine's own step, and the network."""
    from delineate.augment import Sequence
    from delineate.contracts import Batch, Target
    from delineate.engine.clock import Clock
    from delineate.engine.hardware import choose_precision
    from delineate.engine.schedules import Constant
    from delineate.engine.step import TrainingStep
    from delineate.engine.task import Task
    from delineate.inference.allocator import TRAINED, keep_freed_memory
    from delineate.models import SADAAN

    keep_freed_memory(below=TRAINED)
    network = SADAAN(1, work.structures, prior="full", img_size=work.size)
    task = Task(
        network,
        our_loss(),
        augment=Sequence([], patch=work.size),
        optimizer=torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY),
        schedule=Constant(),
        clock=Clock(steps=1),
    )
    precision = choose_precision("auto", "cpu")
    step = TrainingStep(task, device="cpu", precision=precision, clip=CLIP, accumulate=1, ema=0)
    image, masks, presence = batch(work)
    given = Batch(
        image=image,
        target=Target(mask=masks, presence=presence),
        spacing=(1.0,) * 3,
        cases=("scan",) * work.batch,
        step=0,
    )
    return network, lambda: step(given)


def our_loss() -> Any:
    """All seven documented terms under their documented names and weights."""
    from delineate import losses

    terms = {
        "segmentation": losses.PresentCrossEntropy(overlapping=True),
        "dice": losses.PresentDice(overlapping=True),
        "focal_seg": losses.PresentFocal(overlapping=True),
        "false_positive_suppression": losses.AbsenceSuppression(overlapping=True),
        "absence": losses.Presence(),
        "attention_supervision": losses.AttentionSupervision(overlapping=True),
        "confidence": losses.Confidence(overlapping=True),
    }
    return losses.WeightedSum(terms, {"focal_seg": FOCAL, **WEIGHTS})


def literal(work: Work) -> tuple[nn.Module, Step]:
    """The same step without an engine."""
    network = Literal(1, work.structures, work.size)
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
    image, masks, presence = batch(work)

    def step() -> None:
        optimizer.zero_grad()
        terms = literal_loss(network(image), masks, presence)
        torch.stack([WEIGHTS[name] * term for name, term in terms.items()]).sum().backward()
        nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        optimizer.step()

    return network, step


SIDES = {"ours": ours, "literal": literal}


def measure(side: str, name: str, *, steps: int) -> dict[str, Any]:
    """Seconds of each step, the GB held before and at the peak, and the number of weights."""
    work = WORKS[name]
    torch.manual_seed(0)
    torch.set_num_threads(THREADS)
    _import_engine()
    idle = memory("VmRSS")
    network, step = SIDES[side](work)
    step()
    seconds = []
    for _ in range(steps):
        started = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - started)
    weights = sum(p.numel() for p in network.parameters())
    return {"seconds": seconds, "idle_gb": idle, "peak_gb": memory("VmHWM"), "weights": weights}


def _import_engine() -> None:
    """Libraries count as what a process holds before, on both sides."""
    import delineate.engine.step
    import delineate.losses
    import delineate.models  # noqa: F401 -- imported to be in memory


def compare(name: str, *, steps: int, rounds: int) -> None:
    """Take turns, check that the networks are equal, and say the figures."""
    found = take_turns(__file__, SIDES, name, steps=steps, rounds=rounds)
    refuse_unequal(__file__, found, SIDES)
    seconds = medians(found, "seconds")
    peak = peaks(found)
    work = WORKS[name]
    size = "x".join(map(str, work.size))
    what = f"SADAAN training step: batch {work.batch} of {size}, {work.structures} structures"
    say(
        Figure(
            work=what,
            peer="literal",
            ours=seconds["ours"],
            theirs=seconds["literal"],
            unit="s",
            bar=BAR if name == "published" else None,
        )
    )
    less = peak["literal"] / peak["ours"]
    say(
        f"{what}: peak memory above the idle process {peak['ours']:.2f} GB, literal "
        f"{peak['literal']:.2f} GB: {less:.1f} times less (bar {LEANER:g})"
    )


def main() -> None:
    what = __doc__.splitlines()[0]
    command_line(what, WORKS, SIDES, measure=measure, compare=compare)


if __name__ == "__main__":
    main()
