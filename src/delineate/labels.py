"""What the numbers in a mask mean: one model of labels for every data set, loss and metric.

A mask on disk holds *ids* (any integers). A network has *channels* (0 is background unless masks
overlap). A *class* has a name; a class with children is the union of its own id and theirs.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from delineate.errors import DataError

if TYPE_CHECKING:
    import numpy as np

__all__ = ["IGNORE", "Class", "Labels"]

IGNORE = -1
"""The channel index of voxels that no loss and no metric may see."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Class:
    """One structure: its name, the id that marks it in a mask, and the structure it belongs to."""

    name: str
    id: int | None = None
    """None for a pure union of children."""
    colour: tuple[int, int, int] | None = None
    parent: str | None = None


@dataclass(frozen=True, kw_only=True)
class Labels:
    """All classes of a data set; background is id 0 and has no entry."""

    classes: tuple[Class, ...]
    overlapping: bool = False
    """Masks are (k, *s) 0/1 instead of (*s) ids."""
    ignore: int | None = None
    """The id of voxels without a verdict."""
    pairs: tuple[tuple[str, str], ...] = field(default=())
    """Left and right names of one structure: a left-right mirror swaps them."""

    def __post_init__(self) -> None:
        names = [c.name for c in self.classes]
        ids = [c.id for c in self.classes if c.id is not None]
        _refuse_repeats("class name", names)
        _refuse_repeats("label id", ids)
        if 0 in ids and not self.overlapping:
            raise DataError("labels: id 0 is the background. Fix: give the class another id.")
        if self.ignore is not None and self.ignore in ids:
            raise DataError(f"labels: id {self.ignore} is both a class and the ignore label.")
        known = set(names)
        for c in self.classes:
            if c.parent is not None and c.parent not in known:
                raise DataError(f"labels: '{c.name}' has the unknown parent '{c.parent}'.")
            if c.id is None and not any(d.parent == c.name for d in self.classes):
                raise DataError(f"labels: '{c.name}' has neither an id nor children.")
        for name in (n for pair in self.pairs for n in pair):
            if name not in known:
                raise DataError(f"labels: the pair names the unknown class '{name}'.")
        for c in self.classes:
            self._lineage(c.name)

    @classmethod
    def from_names(cls, names: Mapping[str, int], **rest: Any) -> "Labels":
        """Exclusive classes from a name-to-id table; a background entry of 0 is left out."""
        found = tuple(Class(name=n, id=int(i)) for n, i in names.items() if int(i) != 0)
        return cls(
            classes=found, pairs=rest.pop("pairs", find_pairs(c.name for c in found)), **rest
        )

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Every class, unions included, in the declared order."""
        return tuple(c.name for c in self.classes)

    @cached_property
    def leaves(self) -> tuple[Class, ...]:
        """Classes with an id of their own, in channel order."""
        return tuple(c for c in self.classes if c.id is not None)

    @property
    def channels(self) -> int:
        """How many output channels a network needs: background counts unless masks overlap."""
        return len(self.leaves) + (not self.overlapping)

    def members(self, name: str) -> tuple[int, ...]:
        """The channels whose union is the class of that name."""
        start = 0 if self.overlapping else 1
        return tuple(
            i for i, leaf in enumerate(self.leaves, start) if name in self._lineage(leaf.name)
        )

    @cached_property
    def levels(self) -> tuple[tuple[tuple[int, ...], ...], ...]:
        """The channels of each class, level by level, coarsest first; no level comes twice.

        The background, if there is one, is the first class of every level. The coarsest knows roots
        only; each next one opens what has children into itself (if it has an id) and them.
        """
        start = 0 if self.overlapping else 1
        lines = [self._lineage(leaf.name)[::-1] for leaf in self.leaves]
        found = []
        for depth in range(max(map(len, lines), default=0)):
            groups: dict[str, list[int]] = {}
            for channel, line in enumerate(lines, start):
                groups.setdefault(line[min(depth, len(line) - 1)], []).append(channel)
            found.append((*((0,),) * start, *map(tuple, groups.values())))
        return tuple(dict.fromkeys(found))

    @cached_property
    def mirror(self) -> tuple[int, ...]:
        """Where each channel comes from after a left-right mirror; the identity without pairs."""
        start = 0 if self.overlapping else 1
        channel = {leaf.name: i for i, leaf in enumerate(self.leaves, start)}
        order = list(range(self.channels))
        for left, right in self.pairs:
            if left in channel and right in channel:
                order[channel[left]], order[channel[right]] = channel[right], channel[left]
        return tuple(order)

    def encode(self, mask: "np.ndarray") -> "np.ndarray":
        """Ids to channels (ignored voxels to -1); an undeclared id is a DataError.

        Overlapping masks (k, *s) pass through as 0/1.
        """
        import numpy as np

        if self.overlapping:
            return (mask > 0).astype(np.int8)
        ids = {0: 0} | {_own_id(leaf): i for i, leaf in enumerate(self.leaves, 1)}
        if self.ignore is not None:
            ids[self.ignore] = IGNORE
        kind = np.int8 if len(self.leaves) <= 127 else np.int16
        low, high = int(mask.min(initial=0)), int(mask.max(initial=0))
        missing = np.iinfo(np.int16).min
        table = np.full(high - low + 1, missing, np.int16)
        for value, index in ids.items():
            if low <= value <= high:
                table[value - low] = index
        encoded = _look_up(table, mask, low)
        if encoded.min(initial=0) == missing:
            found = sorted({int(v) for v in np.unique(mask[encoded == missing])})
            raise DataError(
                f"the mask holds undeclared values {found[:8]}; declared are {sorted(ids)}."
            )
        return encoded.astype(kind)

    def decode(self, channels: "np.ndarray") -> "np.ndarray":
        """Channels to ids, in the smallest unsigned type that holds them."""
        import numpy as np

        if self.overlapping:
            return channels.astype(np.uint8)
        ids = np.array([0, *map(_own_id, self.leaves)])
        return _look_up(ids.astype(np.min_scalar_type(int(ids.max(initial=0)))), channels, 0)

    def to_json(self) -> dict[str, Any]:
        """Plain data that `from_json` reads back."""
        return {
            "classes": [
                {
                    k: v
                    for k in ("name", "id", "colour", "parent")
                    if (v := getattr(c, k)) is not None
                }
                for c in self.classes
            ],
            "overlapping": self.overlapping,
            "ignore": self.ignore,
            "pairs": [list(p) for p in self.pairs],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Labels":
        """The labels that `to_json` wrote."""
        return cls(
            classes=tuple(
                Class(**{**c, "colour": tuple(c["colour"])} if c.get("colour") else c)
                for c in data["classes"]
            ),
            overlapping=data.get("overlapping", False),
            ignore=data.get("ignore"),
            pairs=tuple((a, b) for a, b in data.get("pairs", ())),
        )

    @cached_property
    def _parents(self) -> dict[str, str | None]:
        return {c.name: c.parent for c in self.classes}

    def _lineage(self, name: str) -> tuple[str, ...]:
        """The class and its ancestors, itself first."""
        line = [name]
        while (parent := self._parents[line[-1]]) is not None:
            if parent in line:
                raise DataError(f"labels: '{name}' is its own ancestor.")
            line.append(parent)
        return tuple(line)


_SIDES = (("left", "right"), ("Left", "Right"), ("LEFT", "RIGHT"))
_SHORT_SIDES = (("L", "R"), ("l", "r"), ("lh", "rh"), ("Lt", "Rt"), ("lt", "rt"), ("LT", "RT"))


def find_pairs(names: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Names that differ only by left and right: `kidney_left`, `kidney_right`; `L-hip`, `R-hip`.

    The chambers of the heart are named so too, but are no mirror images of each other.
    """
    import re

    chamber = re.compile(r"(?i)^(?!.*lat).*(ventric|atri(um|al))")
    known = [name for name in names if not chamber.search(name)]
    swaps = [(re.compile(rf"(?<![A-Za-z]){a}(?![a-z])"), b) for a, b in _SIDES]
    swaps += [(re.compile(rf"(?<![A-Za-z0-9]){a}(?![A-Za-z0-9])"), b) for a, b in _SHORT_SIDES]
    found = []
    for name in known:
        for left, right in swaps:
            other = left.sub(right, name)
            if other != name and other in known:
                found.append((name, other))
                break
    return tuple(found)


def _look_up(table: "np.ndarray", places: "np.ndarray", low: int) -> "np.ndarray":
    """table[places - low], a plane at a time: numpy makes eight bytes of every index."""
    import numpy as np

    found = np.empty(places.shape, table.dtype)
    planes = zip(found, places, strict=True) if places.ndim > 1 else ((found, places),)
    for row, plane in planes:
        row[...] = table[np.subtract(plane, low, dtype=np.intp)]
    return found


def _own_id(leaf: Class) -> int:
    assert leaf.id is not None, "a leaf is a class with an id"
    return leaf.id


def _refuse_repeats(what: str, values: list[Any]) -> None:
    repeated = sorted({v for v in values if values.count(v) > 1})
    if repeated:
        raise DataError(f"labels: the {what} {repeated[0]!r} is used twice.")
