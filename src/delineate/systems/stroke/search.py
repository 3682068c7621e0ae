"""The largest documented network whose training step fits, and then the sample and batch that fill.

What is documented stands while it fits and is not too little. Where it takes too much, the batch
goes down first, then features are recomputed in the backward pass, then the network is a smaller
one. Where it leaves more than 30 % of the memory unused, the batch grows, then the sample, then
features are kept, then the network is made wider.

Memory is predicted by a line (see `memory.Steps`); the chosen step is measured, and where that is
not what was predicted, the search is done again with the line corrected.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from delineate.errors import PlanError
from delineate.systems.stroke.memory import Setup, Steps, network_arguments
from delineate.systems.stroke.rules import (
    BASIC,
    LEVELS,
    batch_rule,
    input_shape,
    larger_shapes,
    saves_memory,
    smaller_shapes,
)

__all__ = ["Choice", "choose", "shrink"]

LEAST_SHARE, MOST_SHARE = 0.7, 0.98
"""Of the memory. A kernel's scratch memory is not counted on shapes."""
TIGHTER = 0.02
"""How much further inside the limits a prediction has to be."""
LARGEST_BATCH = 8
BATCH_SHARE = 0.05
"""A batch sees no more than this part of all cases: larger ones train worse there."""
WIDEST, GROUP = 64, 8
ROUNDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A training step that fits."""

    setup: Setup
    memory_gb: float
    """Measured."""
    reasons: tuple[str, ...]
    """What is not as documented, and why."""


@dataclass(frozen=True, slots=True)
class _Wishes:
    """What the documented rules say, and how far a search may go beyond."""

    documented: Setup
    shapes: tuple[tuple[int, ...], ...]
    """Larger than documented."""
    most_in_batch: int


def choose(
    target_gb: float, steps: Steps, *, scan: Sequence[int], cases: int, on_cpu: bool
) -> Choice:
    """What to train where a step may take so much; a PlanError where nothing fits.

    Args:
        scan: voxels of a typical scan.
        on_cpu: the smallest network, as documented, and no more of it than documented: a step on a
            processor takes as long as it has voxels.
    """
    shape, batch = input_shape(target_gb, scan), batch_rule(target_gb)
    level = BASIC if on_cpu else list(LEVELS)[-1]
    documented = Setup(
        level=level,
        base_filters=network_arguments(level)["base_filters"],
        shape=shape,
        batch=batch,
        checkpointing=saves_memory(target_gb) and not on_cpu,
    )
    most = max(batch, min(LARGEST_BATCH, round(BATCH_SHARE * cases)))
    wishes = _Wishes(documented, tuple(larger_shapes(shape, scan)), most)
    took: dict[Setup, float] = {}
    for _ in range(ROUNDS):
        setup = _fitting(wishes, target_gb, steps)
        if not on_cpu:
            setup = _filling(setup, wishes, target_gb, steps)
        if setup in took:
            break
        took[setup] = steps.learn(setup)
        if (0 if on_cpu else LEAST_SHARE) * target_gb <= took[setup] <= target_gb:
            break
    fitting = [setup for setup, gb in took.items() if gb <= target_gb]
    if not fitting:
        raise _too_little(took, target_gb)
    best = max(fitting, key=lambda setup: took[setup])
    reasons = _why(documented, best, took[best] / target_gb, on_cpu=on_cpu)
    return Choice(setup=best, memory_gb=took[best], reasons=tuple(reasons))


def shrink(documented: Setup, target_gb: float, steps: Steps) -> Choice:
    """A stage as documented, or as near to it as fits: features recomputed, then a smaller cube."""
    larger = [replace(documented, checkpointing=True), documented]
    cubes = (replace(larger[0], shape=shape, batch=1) for shape in smaller_shapes(documented.shape))
    took: dict[Setup, float] = {}
    for setup in (*dict.fromkeys(larger[::-1]), replace(larger[0], batch=1), *cubes):
        took[setup] = steps.measure(setup)
        if took[setup] <= target_gb:
            reasons = _why(documented, setup, 1.0, on_cpu=False)
            return Choice(setup=setup, memory_gb=took[setup], reasons=tuple(reasons))
    raise _too_little(took, target_gb)


def _fitting(wishes: _Wishes, target_gb: float, steps: Steps) -> Setup:
    """The largest network that fits, as near to what is documented as it does."""
    documented = wishes.documented
    setup = documented
    for setup in _by_preference(documented):
        if steps.predict(setup) <= MOST_SHARE * target_gb:
            break
    return setup


def _by_preference(documented: Setup) -> Iterator[Setup]:
    """Ever less memory; the last is the least there is."""
    levels = list(LEVELS)[: list(LEVELS).index(documented.level) + 1]
    setup = documented
    for level in reversed(levels):
        filters = network_arguments(level)["base_filters"]
        for checkpointing in sorted({documented.checkpointing, True}):
            for batch in range(documented.batch, 0, -1):
                setup = replace(
                    documented,
                    level=level,
                    base_filters=filters,
                    batch=batch,
                    checkpointing=checkpointing,
                )
                yield setup
    for shape in smaller_shapes(documented.shape):
        yield replace(setup, shape=shape)


def _filling(setup: Setup, wishes: _Wishes, target_gb: float, steps: Steps) -> Setup:
    """The setup, or the first beyond it that leaves little unused; else the one that takes most."""
    if steps.predict(setup) >= (LEAST_SHARE + TIGHTER) * target_gb:
        return setup
    best = setup
    filters = range(setup.base_filters, max(WIDEST, setup.base_filters) + 1, GROUP)
    recompute = sorted({setup.checkpointing, False}, reverse=True)
    for width, checkpointing, shape in product(filters, recompute, (setup.shape, *wishes.shapes)):
        wider = replace(setup, base_filters=width, checkpointing=checkpointing, shape=shape)
        found = _largest_batch(wider, wishes.most_in_batch, MOST_SHARE * target_gb, steps)
        if found is None:
            continue
        if steps.predict(found) > steps.predict(best):
            best = found
        if steps.predict(found) >= (LEAST_SHARE + TIGHTER) * target_gb:
            return found
    return best


def _largest_batch(setup: Setup, most: int, limit_gb: float, steps: Steps) -> Setup | None:
    """The most samples that fit, but no fewer than there are; None where those do not."""
    batches = range(max(most, setup.batch), setup.batch - 1, -1)
    return next(
        (s for n in batches if steps.predict(s := replace(setup, batch=n)) <= limit_gb), None
    )


def _why(documented: Setup, setup: Setup, share: float, *, on_cpu: bool) -> Iterator[str]:
    """What is not as documented."""
    if on_cpu:
        yield (
            "On a CPU it is the smallest network and no larger a batch than documented, however "
            "much memory there is: a step takes as long as it has voxels."
        )
    if setup.level != documented.level:
        yield f"The network is {setup.level}: a step of a larger one takes more than there is."
    if setup.shape != documented.shape:
        size, usual = ("x".join(map(str, s.shape)) for s in (setup, documented))
        yield f"Samples have {size} voxels, documented are {usual}."
    if setup.batch != documented.batch:
        yield f"The batch is {setup.batch}, documented is {documented.batch}."
    if setup.checkpointing != documented.checkpointing:
        yield (
            "Features are recomputed in the backward pass, which takes a third more time: a step "
            "of this network would not fit otherwise."
            if setup.checkpointing
            else "Features are kept, as there is memory for them."
        )
    usual = network_arguments(setup.level)["base_filters"]
    if setup.base_filters != usual:
        yield f"The network has {setup.base_filters} base filters, not {usual}: there is memory."
    if not on_cpu and share < LEAST_SHARE:
        yield (
            f"A step takes {share:.0%} of the memory: for more, the scans are too small or too few."
        )


def _too_little(took: Mapping[Setup, float], target_gb: float) -> PlanError:
    least = min(took, key=lambda setup: took[setup])
    size, enough = "x".join(map(str, least.shape)), 1.05 * took[least]
    return PlanError(
        f"target_memory_gb={target_gb:.2f} is too little: even {size} voxels through the network "
        f"'{least.level}' take {took[least]:.2f} GB. Fix: target_memory_gb={enough:.2f}."
    )
