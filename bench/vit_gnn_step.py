"""One training step of ViT-GNN: ours against a literal implementation of its description.

    python bench/vit_gnn_step.py [--work documented|half|tiny] [--steps N] [--rounds N]

A batch of 2 patches of 64^3 and 16 classes in fp32 on a CPU: cross-entropy, its gradient, AdamW.
Ours runs as it is by default, with a graph of 15 nuclei in 3 subdivisions and the coarser levels
of its head in the loss, and with graph="raster", which is the same function of the same number of
weights as the literal one. The sides take turns, each time in a process of its own; what comes
first in a process is a step with a single patch of 16^3, which is not counted. Memory is the peak
of the process above what it held before there was a network. The seconds that processors worked
are given besides: they hold on a busy machine.
"""

import time
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from figure import Figure, say
from sides import THREADS
from sliding import memory
from torch import nn
from turns import command_line, medians, peaks, refuse_unequal, take_turns
from vit_gnn_literal import Literal

BAR, LEANER = 2.0, 3.0
"""How many times as fast as the literal one, and how many times less memory."""
RATE, DECAY = 1e-4, 1e-5
SUBDIVISIONS = {"midbrain": 6, "pons": 4, "medulla": 5}
"""The documented ones, and how many nuclei each has."""


@dataclass(frozen=True)
class Work:
    """A batch of patches."""

    batch: int
    size: int
    width: int = 768
    layers: int = 8


WORKS = {"documented": Work(2, 64), "half": Work(2, 32), "tiny": Work(1, 16, 16, 1)}
CLASSES = 1 + sum(SUBDIVISIONS.values())


def nuclei(work: Work) -> nn.Module:
    """Our network by default."""
    return _ours(work, graph="nuclei")


def raster(work: Work) -> nn.Module:
    """The documented function, as we compute it."""
    return _ours(work, graph="raster")


def literal(work: Work) -> nn.Module:
    """The peer."""
    return Literal(1, CLASSES, embed_dim=work.width, vit_layers=work.layers)


SIDES = {"nuclei": nuclei, "raster": raster, "literal": literal}


def _ours(work: Work, *, graph: Any) -> nn.Module:
    """As the engine keeps memory."""
    from delineate.inference.allocator import TRAINED, keep_freed_memory
    from delineate.labels import Class, Labels
    from delineate.models import ViTGNN

    keep_freed_memory(below=TRAINED)
    classes, ids = [Class(name="brainstem", id=None)], iter(range(1, CLASSES))
    for name, count in SUBDIVISIONS.items():
        classes.append(Class(name=name, parent="brainstem"))
        classes += [Class(name=f"{name}_{i}", id=next(ids), parent=name) for i in range(count)]
    return ViTGNN(
        1,
        CLASSES,
        labels=Labels(classes=tuple(classes)),
        graph=graph,
        embed_dim=work.width,
        vit_layers=work.layers,
    )


def _loss(found: Any, ids: torch.Tensor) -> torch.Tensor:
    """Of all the levels that a training of ours looks at."""
    if isinstance(found, torch.Tensor):
        return F.cross_entropy(found, ids)
    levels = (found.logits, *found.deep)
    steps = (ids.shape[-1] // level.shape[-1] for level in levels)
    chosen = (ids[:, ::step, ::step, ::step] for step in steps)
    return sum(map(F.cross_entropy, levels, chosen), torch.zeros(()))


def measure(side: str, name: str, *, steps: int) -> dict[str, Any]:
    """Seconds of each step and of its processors, GB before and at the peak, number of weights."""
    work = WORKS[name]
    torch.manual_seed(0)
    torch.set_num_threads(THREADS)
    import delineate.inference.allocator
    import delineate.models  # noqa: F401 -- imported to be in memory, on all sides

    idle = memory("VmRSS")
    network = SIDES[side](work)
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
    seconds, worked = [], []
    for size in (replace(work, batch=1, size=16), *(work,) * steps):
        shape = (size.size,) * 3
        image, ids = (
            torch.randn(size.batch, 1, *shape),
            torch.randint(CLASSES, (size.batch, *shape)),
        )
        began, began_work = time.perf_counter(), time.process_time()
        optimizer.zero_grad()
        found = network(image)
        _loss(found, ids).backward()
        optimizer.step()
        seconds.append(time.perf_counter() - began)
        worked.append(time.process_time() - began_work)
        del found
    return {
        "seconds": seconds[1:],
        "worked": worked[1:],
        "idle_gb": idle,
        "peak_gb": memory("VmHWM"),
        "weights": sum(p.numel() for p in network.parameters()),
    }


def compare(name: str, *, steps: int, rounds: int) -> None:
    """Take turns, check that the networks are equal where they should be, and say the figures."""
    found = take_turns(__file__, SIDES, name, steps=steps, rounds=rounds)
    refuse_unequal(__file__, found, ("raster", "literal"))
    work = WORKS[name]
    what = f"ViT-GNN training step: batch {work.batch} of {work.size}^3, {CLASSES} classes"
    wall, worked = medians(found, "seconds"), medians(found, "worked")
    for side, words, bar in (("nuclei", "", BAR), ("raster", ", the same function", None)):
        say(
            Figure(
                work=what + words,
                peer="literal",
                ours=wall[side],
                theirs=wall["literal"],
                unit="s",
                bar=bar if name == "documented" else None,
            )
        )
    peak = peaks(found)
    say(
        f"{what}: processors worked {worked['nuclei']:.3g} s, for the same function "
        f"{worked['raster']:.3g} s, literal {worked['literal']:.3g} s"
    )
    say(
        f"{what}: peak memory above the idle process {peak['nuclei']:.2f} GB, for the same "
        f"function {peak['raster']:.2f} GB, literal {peak['literal']:.2f} GB: "
        f"{peak['literal'] / peak['nuclei']:.1f} and {peak['literal'] / peak['raster']:.1f} times "
        f"less (bar {LEANER:g})"
    )


def main() -> None:
    what = __doc__.splitlines()[0]
    command_line(what, WORKS, SIDES, measure=measure, compare=compare, rounds=1)


if __name__ == "__main__":
    main()
