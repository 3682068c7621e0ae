"""Which weight of a file belongs to which weight of a network.

By name first, also as other houses name the same networks, and with any beginning taken off either
side (an encoder inside a larger network). Only where names say next to nothing, by order: kernels,
norms and biases are each counted off, and the two sides must agree in number and in shape.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from torch import Tensor

from delineate.engine.weight_names import namings

__all__ = ["match_names", "match_order"]

State = Mapping[str, Tensor]
_OWN_SHARE, _SOURCE_SHARE = 0.1, 0.25
"""A beginning is tried if this share of the weights has it."""


def match_names(own: State, source: State) -> dict[str, str]:
    """Names of the source by names of the network; the reading that places most is taken.

    What fits in shape counts double; between equals the plainest reading wins.
    """
    best: dict[str, str] = {}
    most = 0
    for reading in namings(source):
        for found in _with_beginnings(own, {ours: theirs for theirs, ours in reading.items()}):
            fitting = sum(
                own[ours].numel() * (1 + (own[ours].shape == source[theirs].shape))
                for ours, theirs in found.items()
            )
            if fitting > most:
                best, most = found, fitting
        if len(best) == len(own):
            break
    return best


def match_order(own: State, source: State) -> dict[str, str]:
    """Names of the source by names of the network, counted off; empty where that is ambiguous.

    Every kernel must find its partner. The first may differ in its input channels and the last in
    its output channels, as these belong to the data.
    """
    here, there = _kinds(own), _kinds(_distinct(source))
    found: dict[str, str] = {}
    for kind, names in here.items():
        partners = there.get(kind, [])
        if _agree([own[n] for n in names], [source[n] for n in partners]):
            found |= zip(names, partners, strict=True)
        elif kind[0] == "weight" and kind[1] > 1:
            return {}
    return found if any(own[name].dim() > 1 for name in found) else {}


def _with_beginnings(own: State, by_reading: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """The matches for every beginning taken off either side, none first."""
    for theirs in _beginnings(by_reading, _SOURCE_SHARE):
        inner = {n.removeprefix(theirs): s for n, s in by_reading.items() if n.startswith(theirs)}
        for ours in _beginnings(own, _OWN_SHARE):
            short = ((name, name.removeprefix(ours)) for name in own if name.startswith(ours))
            # A bare "weight" names no layer: it would fit anything.
            named = ((name, rest) for name, rest in short if "." in rest or not ours + theirs)
            yield {name: inner[rest] for name, rest in named if rest in inner}


def _beginnings(names: Iterable[str], share: float) -> list[str]:
    """The beginnings, up to three words, that so many of the names have; the empty one first."""
    words = [name.split(".") for name in names]
    counts = Counter(
        ".".join(parts[:n]) + "." for parts in words for n in range(1, min(4, len(parts)))
    )
    return ["", *(begin for begin, count in counts.items() if count >= share * len(words))]


def _distinct(state: State) -> State:
    """Each tensor under the first of its names."""
    first = {id(tensor): name for name, tensor in reversed(list(state.items()))}
    return {name: state[name] for name in state if first[id(state[name])] == name}


def _kinds(state: State) -> dict[tuple[str, int], list[str]]:
    """Names in order, by the last word and by the rank of the layer's kernel."""
    found: dict[tuple[str, int], list[str]] = {}
    for name, tensor in state.items():
        layer, _, leaf = name.rpartition(".")
        rank = state.get(f"{layer}.weight", tensor).dim()
        found.setdefault((leaf, rank), []).append(name)
    return found


def _agree(own: list[Tensor], source: list[Tensor]) -> bool:
    """Whether both are as many and of the same shapes, but for what belongs to the data."""
    if [weight.dim() for weight in own] != [weight.dim() for weight in source]:
        return False
    for i, (ours, theirs) in enumerate(zip(own, source, strict=True)):
        sizes = zip(ours.shape, theirs.shape, strict=True)
        differing = {axis for axis, (here, there) in enumerate(sizes) if here != there}
        free = {1} if i == 0 else {0} if i == len(own) - 1 else set()
        if not differing <= free:
            return False
    return True
