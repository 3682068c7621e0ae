"""What a profile means, in words: what binds the training, and what would make it faster."""

from typing import Any

from delineate.engine.profile import Profile

__all__ = ["describe", "to_json", "verdict"]

WAITING = 0.10
"""A training that waits for samples for this share of its time is bound by reading: it is waste."""
LARGE = 0.25
"""What is not the network may take less than this share of a step."""
BUSY = 0.6
"""A card that computes for less than this share of a step waits for the processor."""
FASTER = 0.9
"""Another number of readers is worth naming where a step takes at most this share of the time."""

_FIXES = {
    "transfer": (
        "Copying to the card",
        "weaker rotations and zooms in augment (they read a wider margin), or fewer channels",
    ),
    "augment": ("Augmentation", "fewer transforms in augment, or a lower probability of each"),
    "loss": ("The loss", "fewer or cheaper terms in loss"),
    "optimiser": (
        "The optimiser",
        "a cheaper optimizer.name, or train.accumulate=4, which moves the weights less often",
    ),
}


def verdict(profile: Profile) -> str:
    """The one thing that binds, by the shares of a step, and what to do about it."""
    if profile.shares["read"] >= WAITING:
        return _reading_binds(profile)
    if _faster(profile) is not None:
        return _readers_bind(profile)
    if profile.busy is not None and profile.busy < BUSY:
        return _launching_binds(profile)
    worst = max(_FIXES, key=lambda part: profile.shares[part])
    if profile.shares[worst] < LARGE:
        return _network_binds(profile)
    name, fix = _FIXES[worst]
    return f"{name} binds: {_of_total(profile, worst)} ({_share(profile, worst)}). Fix: {fix}."


def describe(profile: Profile) -> list[str]:
    """The figures beside the parts, a line each."""
    memory = "" if profile.memory_gb is None else f", peak memory {profile.memory_gb:.2f} GB"
    steps = profile.total
    lines = [
        f"{steps * 1e3:.1f} ms a step of {profile.batch_size} on {profile.device} in "
        f"{profile.precision}: {profile.batch_size / steps:.3g} patches/s{memory}",
        f"{profile.flops / 1e9:.3g} GFLOP a step, at {profile.rate / 1e9:.3g} GFLOP/s; a matrix "
        f"product reaches {profile.matmul / 1e9:.3g}",
        f"reading a batch takes one process {profile.reading * 1e3:.1f} ms; "
        f"enough: train.workers={profile.enough}",
    ]
    for workers, seconds in profile.by_workers.items():
        total, read = sum(seconds.values()), seconds["read"]
        lines.append(
            f"  train.workers={workers}: {total * 1e3:.1f} ms a step, of which {read * 1e3:.1f} "
            "wait for samples"
        )
    if profile.busy is not None:
        lines.append(f"the card computes {profile.busy:.0%} of the time")
    return lines


def to_json(profile: Profile) -> dict[str, Any]:
    """All figures, in seconds, and the verdict."""
    return {
        "device": profile.device,
        "precision": profile.precision,
        "compiled": profile.compiled,
        "steps": profile.steps,
        "batch_size": profile.batch_size,
        "seconds": sum(profile.seconds.values()),
        "parts": dict(profile.seconds),
        "patches_per_second": profile.batch_size / profile.total,
        "memory_gb": profile.memory_gb,
        "flops": profile.flops,
        "flops_per_second": profile.rate,
        "matmul_flops_per_second": profile.matmul,
        "busy": profile.busy,
        "workers": profile.workers,
        "enough_workers": profile.enough,
        "reading_seconds": profile.reading,
        "parts_by_workers": {str(n): dict(parts) for n, parts in profile.by_workers.items()},
        "verdict": verdict(profile),
    }


def _reading_binds(profile: Profile) -> str:
    waits = f"Reading binds: the training waits {_of_total(profile, 'read')} for samples."
    best = _faster(profile)
    if best is not None:
        return (
            f"{waits} Fix: train.workers={best}: a step takes {_milliseconds(profile, best)} then."
        )
    tried = ", ".join(map(str, profile.by_workers))
    return (
        f"{waits} Another number of readers does not help (tried: {tried}). Fix: data.cache on a "
        "faster disk, or more free main memory, so that the cases stay in it."
    )


def _readers_bind(profile: Profile) -> str:
    best = _faster(profile)
    assert best is not None
    return (
        f"The reading processes bind: they take cores from the training, whose step takes "
        f"{_milliseconds(profile, profile.workers)} with train.workers={profile.workers} but "
        f"{_milliseconds(profile, best)} with {best}. Fix: train.workers={best}."
    )


def _faster(profile: Profile) -> int | None:
    """The number of readers with which a step is clearly faster, if there is one."""
    totals = {n: sum(parts.values()) for n, parts in profile.by_workers.items()}
    best = min(totals, key=lambda n: totals[n])
    return best if totals[best] <= FASTER * profile.total else None


def _milliseconds(profile: Profile, workers: int) -> str:
    return f"{sum(profile.by_workers[workers].values()) * 1e3:.0f} ms"


def _launching_binds(profile: Profile) -> str:
    first = "" if profile.compiled else "train.compile=true, or "
    return (
        f"The processor binds: the card computes {profile.busy:.0%} of the time and then waits to "
        f"be told what is next. Fix: {first}a larger plan.batch_size or plan.patch."
    )


def _network_binds(profile: Profile) -> str:
    shares = ", ".join(f"{part} {_share(profile, part)}" for part in ("backward", "forward"))
    binds = f"The network binds: {shares}; reading waits {_share(profile, 'read')}."
    smaller = "smaller plan.width or plan.patch"
    if profile.device == "cpu":
        return f"{binds} A {smaller} is the only thing that helps on this CPU."
    if profile.precision == "fp32":
        return f"{binds} Fix: train.precision=auto, which computes in 16 bits on this card."
    if not profile.compiled:
        return f"{binds} Fix: train.compile=true, then a {smaller}."
    return f"{binds} A {smaller} is the only thing that helps on this card."


def _of_total(profile: Profile, part: str) -> str:
    """'173 of 302 ms'."""
    return f"{profile.seconds[part] * 1e3:.0f} of {profile.total * 1e3:.0f} ms"


def _share(profile: Profile, part: str) -> str:
    return f"{100 * profile.shares[part]:.0f} %"
