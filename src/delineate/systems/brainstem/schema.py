"""A schema of labels: structures inside structures, with colours and remaps."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["Remap", "Schema", "Structure"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """One structure of the hierarchy."""

    key: str
    """Unique: the class of the labels."""
    name: str
    label_id: int | None = None
    """In masks; None for what only unites others."""
    label_range: tuple[int, int] | None = None
    """Where ids of structures inside are expected."""
    parent: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    """abbreviation, functional_class, neurotransmitter, clinical_relevance, and what else is said.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Remap:
    """One class that a remap makes of ids."""

    name: str
    label_ids: tuple[int, ...]
    parent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """What a file says of the labels."""

    structures: tuple[Structure, ...]
    """In the order of the file."""
    colours: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)
    """Red, green and blue by functional class."""
    remaps: Mapping[int, tuple[Remap, ...]] = field(default_factory=dict)
    """By the number of classes, background included."""
    rest: Mapping[str, Any] = field(default_factory=dict)
    """schema_version, validation_criteria, nextbrain_mapping, ..., as the file has them."""

    @property
    def nuclei(self) -> tuple[Structure, ...]:
        """What holds nothing else."""
        parents = {structure.parent for structure in self.structures}
        return tuple(s for s in self.structures if s.key not in parents)

    @property
    def outside_ranges(self) -> tuple[Structure, ...]:
        """Those whose id is not in the range around them: they keep the ids of an older atlas."""
        ranges = {s.key: s.label_range for s in self.structures}
        found = []
        for structure in self.structures:
            limits = ranges.get(structure.parent or "")
            number = structure.label_id
            if limits and number is not None and not limits[0] <= number <= limits[1]:
                found.append(structure)
        return tuple(found)

    def structure(self, key: str) -> Structure:
        """The structure of that key; an unknown one is a KeyError."""
        return next(s for s in self.structures if s.key == key)

    def colour(self, structure: Structure) -> tuple[int, int, int] | None:
        """That of its functional class."""
        return self.colours.get(str(structure.facts.get("functional_class")))

    def line(self, key: str) -> tuple[str, ...]:
        """The structure and all around it, itself first."""
        parents = {s.key: s.parent for s in self.structures}
        line = [key]
        while (parent := parents.get(line[-1])) is not None:
            line.append(parent)
        return tuple(line)

    @property
    def subdivisions(self) -> tuple[str, ...]:
        """The structures of the second level, in the order of the file."""
        return tuple(s.key for s in self.structures if len(self.line(s.key)) == 2)

    def subdivide(self, mask: np.ndarray) -> np.ndarray:
        """1, 2, 3, ... where a voxel's id lies in a subdivision, else 0; ids as in the file."""
        found = np.zeros(mask.shape, np.int64)
        for number, key in enumerate(self.subdivisions, 1):
            inside = [s.label_id for s in self.structures if key in self.line(s.key)]
            found[np.isin(mask, [i for i in inside if i is not None])] = number
        return found
