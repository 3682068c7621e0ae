"""How the slices of a series vote on what the series is.

Each slice votes for its most probable class, unless that is less probable than the confidence: then
it abstains. The series passes if more votes are for the classes to keep, taken together, than for
the others. Of a tie, the mean probability of the classes to keep decides, over all slices that
voted: it must be above one half. Where no slice votes, the series does not pass.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from delineate.errors import ConfigError
from delineate.systems.spine.cascade.settings import Gate

__all__ = ["Ballot", "hold_ballot", "judge_slices", "resolve_keep"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ballot:
    """The votes of one series."""

    votes: Mapping[str, int]
    """By class, the most frequent first."""
    kept: int
    """Votes for a class to keep."""
    against: int
    abstained: int
    probability: float
    """The mean probability of the classes to keep, taken together; 0 where nobody voted."""

    @property
    def passed(self) -> bool:
        """Whether the series goes on."""
        if self.kept == self.against:
            return self.kept > 0 and self.probability > 0.5
        return self.kept > self.against

    def __str__(self) -> str:
        told = [f"{name} {number}" for name, number in self.votes.items()]
        told += [f"{self.abstained} unsure"] * (self.abstained > 0)
        return ", ".join(told)


def hold_ballot(
    probabilities: np.ndarray,
    keep: Sequence[int],
    name_of: Callable[[int], str],
    *,
    confidence: float,
) -> Ballot:
    """The votes of slices with probabilities (n, k)."""
    best, chosen = probabilities.max(1), probabilities.argmax(1)
    voting = best >= confidence
    votes = Counter(chosen[voting].tolist())
    kept = sum(votes[number] for number in keep)
    together = probabilities[voting][:, list(keep)].sum(1)
    return Ballot(
        votes={name_of(number): count for number, count in votes.most_common()},
        kept=kept,
        against=int(voting.sum()) - kept,
        abstained=int((~voting).sum()),
        probability=float(together.mean()) if len(together) else 0.0,
    )


def judge_slices(
    probabilities: np.ndarray, keep: Sequence[int], *, confidence: float
) -> np.ndarray:
    """(n) whether each slice is of a class to keep, and sure enough."""
    return np.isin(probabilities.argmax(1), list(keep)) & (probabilities.max(1) >= confidence)


def resolve_keep(gate: Gate, classes: Sequence[str]) -> tuple[int, ...]:
    """The numbers of the classes that a gate keeps; one that the network lacks is a ConfigError."""
    found = []
    for wish in gate.keep:
        if isinstance(wish, str) and wish in classes:
            found.append(classes.index(wish))
        elif not isinstance(wish, str) and 0 <= wish < len(classes):
            found.append(wish)
        else:
            raise ConfigError(
                f"{gate.name}: keeps {wish!r}, but its network knows {len(classes)} classes: "
                f"{_listed(classes)}. Fix: keep their numbers or names in the cascade's YAML, "
                f"such as gates: [{{name: {gate.name}, checkpoint: {gate.checkpoint}, "
                f"keep: [{classes[-1]}]}}]."
            )
    return tuple(dict.fromkeys(found))


def _listed(classes: Sequence[str]) -> str:
    shown = [f"{number} {name}" for number, name in enumerate(classes[:12])]
    return ", ".join(shown) + (" ..." if len(classes) > 12 else "")
