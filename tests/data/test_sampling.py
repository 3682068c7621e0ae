"""Which case, which class, which place: shares, turns and rare classes."""

from collections import Counter

import numpy as np
import pytest

from delineate.data.sampling import Sampling
from delineate.data.store import Facts
from delineate.errors import DataError

SHAPE, PATCH = (64, 64, 64), (8, 8, 8)


class Shelf:
    """A cache of cases that have one voxel of each of their classes, at (10 * class, 30, 30)."""

    def __init__(self, channels: dict[str, tuple[int, ...]]) -> None:
        self.channels = channels

    def facts(self, case: str) -> Facts:
        counts = dict.fromkeys(self.channels[case], 1)
        return Facts(shape=SHAPE, labelled=True, counts=counts, sampled=counts)

    def shape(self, case: str) -> tuple[int, ...]:
        return SHAPE

    def places(self, case: str, channel: int) -> np.ndarray:
        assert channel in self.channels[case]
        return np.array([[10 * channel, 30, 30]], np.uint16)


def drawn(channels, *, foreground=0.5, rare=0.0, count=2000, seed=0) -> list[tuple[str, int]]:
    """The case of each sample, and the class in the middle of its patch (0 where there is none)."""
    sampling = Sampling(
        Shelf(channels), list(channels), patch=PATCH, seed=seed, foreground=foreground, rare=rare
    )
    found = []
    for number in range(count):
        case, start = sampling(number)
        assert number % 40 or sampling(number) == (case, start)
        first, *rest = (s + 4 for s in start)
        held = [c for c in (1, 2, 3) if max(abs(p - 30) for p in (first + 30 - 10 * c, *rest)) <= 2]
        found.append((case, held[0] if held else 0))
    return found


COMMON = {f"case_{i}": (1, 2) for i in range(18)} | {"case_18": (1, 2, 3), "case_19": (1, 3)}


def test_the_share_around_a_structure_is_the_one_asked_for():
    found = drawn(COMMON, foreground=0.3)
    # Anywhere hits the middle of such a voxel by chance once in about 700 draws.
    assert np.mean([c > 0 for _, c in found]) == pytest.approx(0.3, abs=0.03)


def test_classes_of_a_case_are_drawn_evenly():
    counts = Counter(c for _, c in drawn(COMMON, foreground=1.0))
    assert counts[1] / counts[2] == pytest.approx(1.0, abs=0.1)


def test_every_case_comes_once_an_epoch():
    cases = [case for case, _ in drawn(COMMON, count=100)]
    epochs = [cases[i : i + 20] for i in range(0, 100, 20)]
    assert all(set(e) == set(COMMON) for e in epochs)
    assert len({tuple(e) for e in epochs}) == 5


def test_rare_samples_meet_every_class_as_often():
    counts = Counter(c for _, c in drawn(COMMON, rare=1.0))
    assert set(counts) == {1, 2, 3}
    assert min(counts.values()) / max(counts.values()) > 0.9
    without = Counter(c for _, c in drawn(COMMON, foreground=1.0))
    assert without[3] / without[1] < 0.15


def test_a_class_comes_from_each_of_the_cases_that_have_it():
    cases = Counter(case for case, c in drawn(COMMON, rare=1.0) if c == 3)
    assert set(cases) == {"case_18", "case_19"}
    assert cases["case_18"] / cases["case_19"] == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize("rare", [0.25, 0.1, 1 / 3])
def test_beside_rare_samples_every_case_still_comes_once_an_epoch(rare):
    found = drawn(COMMON, rare=rare, foreground=0.0, count=1200)
    first = [n for n in range(1200) if int((n + 1) * rare) > int(n * rare)]
    assert len(first) == pytest.approx(1200 * rare, abs=1)
    rest = [case for n, (case, _) in enumerate(found) if n not in set(first)]
    epochs = [rest[i : i + 20] for i in range(0, len(rest) - 19, 20)]
    assert len(epochs) >= 39
    assert all(set(e) == set(COMMON) for e in epochs)


def test_rare_samples_are_spread_evenly_through_the_run():
    shares = [int((n + 1) * 0.25) - int(n * 0.25) for n in range(1000)]
    assert all(sum(shares[i : i + 4]) == 1 for i in range(996))


def test_many_healthy_cases_leave_the_share_of_structures_as_it_is():
    healthy = {f"healthy_{i}": () for i in range(95)} | {f"ill_{i}": (1,) for i in range(5)}
    found = drawn(healthy, foreground=0.5)
    assert np.mean([c > 0 for _, c in found]) == pytest.approx(0.5, abs=0.03)
    ill = Counter(case for case, c in found if c and case.startswith("ill"))
    assert len(ill) == 5
    assert min(ill.values()) / max(ill.values()) > 0.7
    # The healthy ones come in their turn when the sample lies anywhere.
    seen = Counter(case for case, _ in found if case.startswith("healthy"))
    assert len(seen) == 95
    assert sum(seen.values()) / 2000 == pytest.approx(0.95 * 0.5, abs=0.03)


def test_where_no_case_has_a_structure_every_case_has_its_turn():
    found = drawn({"a": (), "b": ()}, foreground=1.0, count=50)
    assert Counter(case for case, _ in found) == {"a": 25, "b": 25}


def test_another_seed_is_another_sequence():
    assert drawn(COMMON, count=50) != drawn(COMMON, count=50, seed=1)


def test_rare_classes_without_any_class_are_refused():
    with pytest.raises(
        DataError,
        match=r"^none of the 2 cases shows a labelled structure, so rare ones cannot be shown more "
        r"often\. Fix: train\.rare=0\.$",
    ):
        drawn({"a": (), "b": ()}, rare=0.5)
