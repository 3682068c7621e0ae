"""D-Former forward and backward: ours against a literal implementation of its description.

    python bench/dformer_step.py [--work published|tiny] [--steps N] [--rounds N]

One image of 64x128x128 and 14 outputs in fp32 on a CPU; all three heads, and drawn gradients of
their logits instead of a loss. Ours runs as it is and with checkpointing. All sides have the same
number of weights. They take turns, each time in a process of its own; the first pass of a process
is not counted. Memory is the peak of the process above what it held before there was a network.
The seconds that processors worked are given besides: they hold on a busy machine.
"""

import time
from dataclasses import dataclass
from typing import Any

import torch
from dformer_literal import Literal
from figure import Figure, say
from sides import THREADS
from sliding import memory
from torch import Tensor, nn
from turns import command_line, medians, peaks, refuse_unequal, take_turns

BAR, LEANER = 1.5, 2.0
"""How many times as fast as the literal one, and how many times less memory with checkpointing."""


@dataclass(frozen=True)
class Work:
    """An image, and how much is made of it."""

    size: tuple[int, int, int]
    outputs: int
    width: int = 96


WORKS = {"published": Work((64, 128, 128), 14), "tiny": Work((16, 64, 64), 2, 24)}


def ours(work: Work, *, checkpointing: bool = False) -> nn.Module:
    """Our network, as the engine keeps memory."""
    from delineate.inference.allocator import keep_freed_memory
    from delineate.models import DFormer

    keep_freed_memory()
    return DFormer(1, work.outputs, embed_dim=work.width, checkpointing=checkpointing)


def lean(work: Work) -> nn.Module:
    """Ours with less memory."""
    return ours(work, checkpointing=True)


def literal(work: Work) -> nn.Module:
    """The peer."""
    return Literal(1, work.outputs, embed_dim=work.width)


SIDES = {"ours": ours, "lean": lean, "literal": literal}


def logits(network: nn.Module, image: Tensor) -> list[Tensor]:
    """Of all heads, the finest first."""
    found = network(image)
    return found if isinstance(found, list) else [found.logits, *found.deep]


def measure(side: str, name: str, *, steps: int) -> dict[str, Any]:
    """Seconds of each pass and of its processors, GB before and at the peak, number of weights."""
    work = WORKS[name]
    torch.manual_seed(0)
    torch.set_num_threads(THREADS)
    import delineate.models  # noqa: F401 -- imported to be in memory, on all sides

    image = torch.randn(1, 1, *work.size)
    pulls = [torch.randn(1, work.outputs, *(n // 2**i for n in work.size)) / 1000 for i in range(3)]
    idle = memory("VmRSS")
    network = SIDES[side](work)
    seconds, worked = [], []
    for _ in range(1 + steps):
        network.zero_grad()
        began, began_work = time.perf_counter(), time.process_time()
        torch.autograd.backward(logits(network, image), pulls)
        seconds.append(time.perf_counter() - began)
        worked.append(time.process_time() - began_work)
    return {
        "seconds": seconds[1:],
        "worked": worked[1:],
        "idle_gb": idle,
        "peak_gb": memory("VmHWM"),
        "weights": sum(p.numel() for p in network.parameters()),
    }


def compare(name: str, *, steps: int, rounds: int) -> None:
    """Take turns, check that the networks are equal, and say the figures."""
    found = take_turns(__file__, SIDES, name, steps=steps, rounds=rounds, unit="pass")
    refuse_unequal(__file__, found, SIDES)
    work = WORKS[name]
    size = "x".join(map(str, work.size))
    what = f"D-Former forward and backward: {size}, {work.outputs} outputs"
    wall, worked = medians(found, "seconds"), medians(found, "worked")
    for side, words, bar in (("ours", "", BAR), ("lean", ", checkpointing", None)):
        say(
            Figure(
                work=what + words,
                peer="literal",
                ours=wall[side],
                theirs=wall["literal"],
                unit="s",
                bar=bar if name == "published" else None,
            )
        )
    peak = peaks(found)
    say(
        f"{what}: processors worked {worked['ours']:.3g} s, with checkpointing "
        f"{worked['lean']:.3g} s, literal {worked['literal']:.3g} s"
    )
    say(
        f"{what}: peak memory above the idle process {peak['ours']:.2f} GB, with checkpointing "
        f"{peak['lean']:.2f} GB, literal {peak['literal']:.2f} GB: "
        f"{peak['literal'] / peak['ours']:.1f} and {peak['literal'] / peak['lean']:.1f} times less "
        f"(bar {LEANER:g} with checkpointing)"
    )


def main() -> None:
    what = __doc__.splitlines()[0]
    command_line(what, WORKS, SIDES, measure=measure, compare=compare, unit="passes")


if __name__ == "__main__":
    main()
