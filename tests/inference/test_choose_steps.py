from dataclasses import replace

import numpy as np
import pytest

from delineate.errors import DataError
from delineate.inference import (
    FillHoles,
    KeepLargest,
    RemoveSmall,
    apply_steps,
    choose_postprocessing,
    choose_steps,
    read_postprocessing,
    write_postprocessing,
)
from delineate.inference.choose_steps import _Case
from delineate.io import Volume
from delineate.io.volume import Grid
from delineate.labels import Class, Labels

LABELS = Labels(classes=(Class(name="organ", id=1), Class(name="lesion", id=2)))


def as_volume(mask):
    array = mask if mask.ndim == 4 else mask[None]
    grid = Grid(shape=array.shape[1:], affine=np.eye(4))
    return Volume(array=array, affine=np.eye(4), source=grid)


def organ(rng, shape=(20, 20, 20)):
    """One ball, not quite in the middle, and two lesions of 27 voxels beside it."""
    centre = rng.integers(6, 9, 3)
    place = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"))
    distance = np.sqrt(((place - centre[:, None, None, None]) ** 2).sum(0))
    mask = (distance < 5).astype(np.uint8)
    mask[16:19, 16:19, 2:5] = 2
    mask[16:19, 2:5, 16:19] = 2
    return mask


def pairs(number, spoil):
    rng = np.random.default_rng(0)
    found = []
    for _ in range(number):
        truth = organ(rng)
        predicted = truth.copy()
        spoil(predicted, rng)
        found.append((as_volume(predicted), as_volume(truth)))
    return found


def add_islands(mask, rng):
    for _ in range(3):
        i, j = rng.integers(0, 20, 2)
        mask[i, j, 19] = 1


def bore(mask, rng):
    centre = np.argwhere(mask == 1).mean(0).astype(int)
    mask[tuple(slice(c - 1, c + 2) for c in centre)] = 0


def test_islands_far_off_are_removed_and_two_lesions_are_both_kept():
    steps, reasons = choose_postprocessing(pairs(10, add_islands), LABELS)
    assert [step.label for step in steps] == ["organ"]
    assert isinstance(steps[0], KeepLargest | RemoveSmall)
    assert "over 10 cases, better in 10, worse in 0" in reasons[0]
    assert "taken" in reasons[0]
    assert "taken" not in reasons[1]


def test_steps_stand_on_each_other():
    def both(mask, rng):
        bore(mask, rng)
        add_islands(mask, rng)

    steps, _ = choose_postprocessing(pairs(10, both), LABELS)
    kinds = {type(step) for step in steps}
    assert FillHoles in kinds
    assert kinds & {KeepLargest, RemoveSmall}
    assert {step.label for step in steps} == {"organ"}


def test_what_is_right_already_is_left_alone():
    steps, reasons = choose_postprocessing(pairs(10, lambda mask, rng: None), LABELS)
    assert steps == ()
    assert all("left out" in reason for reason in reasons)


def test_a_gain_that_may_be_chance_is_left_out():
    cases = pairs(12, lambda mask, rng: None)
    spoilt, truth = cases[0]
    array = spoilt.array.copy()
    array[0, :4, :4, 19] = 1
    cases[0] = replace(spoilt, array=array), truth
    steps, reasons = choose_postprocessing(cases, LABELS)
    assert steps == ()
    assert "better in 1, worse in 0, p = 0.5" in reasons[0]


def test_a_handful_of_cases_chooses_nothing():
    steps, reasons = choose_postprocessing(pairs(7, add_islands), LABELS)
    assert steps == ()
    assert reasons == ("Nothing is chosen: 7 validation cases are too few, 8 are the least.",)


def test_of_many_cases_some_are_drawn_the_same_each_time_and_that_is_said(monkeypatch, caplog):
    caplog.set_level("INFO", "delineate")
    monkeypatch.setattr(choose_steps, "MOST_CASES", 9)
    cases = pairs(12, add_islands)
    steps, reasons = choose_postprocessing(cases, LABELS)
    assert [step.label for step in steps] == ["organ"]
    assert reasons[0] == "Chosen on 9 of 12 validation cases, drawn at random (seed 0)."
    assert "over 9 cases" in reasons[1]
    assert caplog.messages == ["post-processing is chosen on 9 validation cases"]
    assert choose_postprocessing(cases, LABELS) == (steps, reasons)


def test_false_alarms_where_there_is_nothing_count_as_scores_count_them():
    empty = np.zeros((12, 12, 12), np.uint8)
    alarm = empty.copy()
    alarm[3, 3, 3] = 2
    cases = [(as_volume(alarm), as_volume(empty)) for _ in range(9)]
    steps, reasons = choose_postprocessing(cases, LABELS)
    assert [type(step) for step in steps] == [RemoveSmall]
    assert "mean Dice 0.0000 to 1.0000" in reasons[1]
    assert reasons[0] == "organ: nothing to remove or to fill in 9 cases."


def test_overlapping_classes_are_chosen_for_one_by_one():
    layers = Labels(classes=LABELS.classes, overlapping=True)
    cases = [
        tuple(as_volume(np.stack([v.array[0] == k for k in (1, 2)]).astype(np.uint8)) for v in pair)
        for pair in pairs(10, add_islands)
    ]
    steps, _ = choose_postprocessing(cases, layers)
    assert [step.label for step in steps] == ["organ"]


@pytest.mark.parametrize(
    "step",
    [
        KeepLargest(label="organ"),
        RemoveSmall(smallest=4, unit="voxels", label="organ"),
        RemoveSmall(smallest=3.5, label="organ"),
        FillHoles(label="organ"),
        None,
    ],
)
def test_figures_of_components_are_the_dice_of_the_mask_after_the_step(step):
    rng = np.random.default_rng(1)
    truth = organ(rng)
    mask = truth.copy()
    add_islands(mask, rng)
    bore(mask, rng)
    truth[0, :, :] = 255
    seen = truth != 255
    case = _Case(mask == 1, truth == 1, mask == 0, seen, 1.0)
    found = apply_steps(mask.copy(), () if step is None else (step,), LABELS, (1.0, 1.0, 1.0))
    own, wanted = (found == 1) & seen, truth == 1
    assert case.dice(step) == pytest.approx(2 * (own & wanted).sum() / (own.sum() + wanted.sum()))


def test_choices_go_through_a_file(tmp_path):
    steps, reasons = choose_postprocessing(pairs(10, add_islands), LABELS)
    write_postprocessing(tmp_path / "steps.json", steps, reasons)
    assert read_postprocessing(tmp_path / "steps.json") == steps
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(DataError, match=r"broken\.json: not a file of post-processing steps"):
        read_postprocessing(tmp_path / "broken.json")


def test_masks_of_two_grids_are_refused():
    cases = pairs(8, add_islands)
    cases[0] = cases[0][0], as_volume(np.zeros((3, 3, 3), np.uint8))
    with pytest.raises(DataError, match="masks of one grid"):
        choose_postprocessing(cases, LABELS)
