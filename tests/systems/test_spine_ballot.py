"""A series is what most of its slices say; ties and doubts have rules."""

import numpy as np
import pytest

from delineate.errors import ConfigError
from delineate.systems.spine.cascade.ballot import hold_ballot, judge_slices, resolve_keep
from delineate.systems.spine.cascade.settings import Gate

NAMES = ("brain", "neck", "chest", "knee")


def answers(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array(rows, np.float32)


def test_votes_for_several_kept_classes_count_together():
    # No class has more votes than the brain, but two of those to keep have more together.
    said = answers(
        (0.8, 0.1, 0.1, 0), (0.8, 0.1, 0.1, 0), (0, 0.9, 0.1, 0), (0, 0.3, 0.7, 0), (0, 0.9, 0.1, 0)
    )
    found = hold_ballot(said, (1, 2), NAMES.__getitem__, confidence=0)
    assert found.passed
    assert (found.kept, found.against, found.abstained) == (3, 2, 0)
    assert dict(found.votes) == {"brain": 2, "neck": 2, "chest": 1}
    assert found.probability == pytest.approx((0.2 + 0.2 + 1 + 1 + 1) / 5)


@pytest.mark.parametrize(
    ("kept", "other", "passes"),
    [
        ((0.1, 0.9, 0, 0), (0.7, 0.3, 0, 0), True),  # 0.6 in the mean
        ((0.4, 0.6, 0, 0), (0.8, 0.2, 0, 0), False),  # 0.4
        ((0.25, 0.75, 0, 0), (0.75, 0.25, 0, 0), False),  # 0.5
    ],
)
def test_a_tie_is_decided_by_the_mean_probability_of_what_is_kept(
    kept: tuple[float, ...], other: tuple[float, ...], passes: bool
):
    found = hold_ballot(answers(kept, other), (1,), NAMES.__getitem__, confidence=0)
    assert found.kept == found.against == 1
    assert found.passed is passes


def test_slices_that_are_not_sure_abstain_and_without_votes_nothing_passes():
    said = answers((0.1, 0.9, 0, 0), (0.55, 0.45, 0, 0), (0.55, 0.45, 0, 0))
    assert not hold_ballot(said, (1,), NAMES.__getitem__, confidence=0).passed
    found = hold_ballot(said, (1,), NAMES.__getitem__, confidence=0.6)
    assert found.passed
    assert (found.kept, found.against, found.abstained) == (1, 0, 2)
    assert str(found) == "neck 1, 2 unsure"
    nobody = hold_ballot(said, (1,), NAMES.__getitem__, confidence=0.95)
    assert not nobody.passed
    assert nobody.probability == 0


def test_slices_judged_alone_must_be_of_a_kept_class_and_sure():
    said = answers((0.1, 0.9, 0, 0), (0.45, 0.55, 0, 0), (0.9, 0.1, 0, 0))
    assert judge_slices(said, (1,), confidence=0).tolist() == [True, True, False]
    assert judge_slices(said, (1,), confidence=0.6).tolist() == [True, False, False]


def test_classes_are_kept_by_number_or_name_and_unknown_ones_are_told():
    gate = Gate(name="anatomy", checkpoint="anatomy", keep=(2, "neck", 2))
    assert resolve_keep(gate, NAMES) == (2, 1)
    for wrong in (141, -1, "hip"):
        gate = Gate(name="anatomy", checkpoint="anatomy", keep=(wrong,))
        with pytest.raises(
            ConfigError, match=r"knows 4 classes: 0 brain, 1 neck, .*keep: \[knee\]"
        ):
            resolve_keep(gate, NAMES)
