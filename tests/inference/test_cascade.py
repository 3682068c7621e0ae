"""What a cascade is: its channels, its labels, and what cannot be one."""

from dataclasses import replace

import numpy as np
import pytest
from thresholds import model

from delineate.errors import DataError
from delineate.geometry import bounding_box
from delineate.inference.cascade import (
    Cascade,
    Focus,
    Gate,
    Given,
    PresenceGate,
    Segment,
    Stage,
)
from delineate.inference.cascade_labels import find_extent
from delineate.inference.model import Committee
from delineate.labels import Class, Labels

ORGAN = Labels(
    classes=(Class(name="whole"), Class(name="organ", id=1, parent="whole", colour=(9, 8, 7)))
)
LESION = Labels(classes=(Class(name="lesion", id=1), Class(name="cyst", id=2)))
LAYERS = Labels(classes=(Class(name="edge", id=1), Class(name="core", id=2)), overlapping=True)


def stage(name, does=None, *, labels=ORGAN, channels=("CT",), **rest):
    return Stage(
        name=name, model=model(labels=labels, channels=channels), does=does or Segment(), **rest
    )


def test_the_mask_holds_the_classes_of_all_stages_that_answer():
    cascade = Cascade(
        stages=(
            stage("coarse", Focus(structure="whole"), answer={"whole": 4}),
            stage("gate", Gate(structure="cyst"), labels=LESION),
            stage("fine", labels=LESION),
        )
    )
    assert [(c.name, c.id) for c in cascade.labels.classes] == [
        ("whole", 4),
        ("lesion", 1),
        ("cyst", 2),
    ]
    assert Cascade(stages=(stage("only"),)).labels == ORGAN


def test_a_chosen_class_keeps_its_colour_and_pairs_survive_where_both_do():
    sides = Labels.from_names({"kidney_left": 1, "kidney_right": 2})
    organ = stage("a", answer={"organ": 5})
    both = Cascade(stages=(organ, stage("b", labels=sides)))
    one = Cascade(stages=(organ, stage("b", labels=sides, answer={"kidney_left": 1})))
    assert both.labels.classes[0] == Class(name="organ", id=5, colour=(9, 8, 7))
    assert both.labels.pairs == (("kidney_left", "kidney_right"),)
    assert one.labels.pairs == ()


def test_the_scan_must_have_what_all_stages_need_and_nothing_that_they_make():
    cascade = Cascade(
        stages=(
            stage("first", Focus(), labels=LESION, channels=("T1",)),
            stage("second", Focus(), channels=("FLAIR", "T1")),
            stage(
                "third",
                labels=LESION,
                channels=("FLAIR", "l", "c"),
                given=Given(stage="first"),
            ),
        )
    )
    assert cascade.channels == ("T1", "FLAIR")
    assert [cascade.own_channels(s) for s in cascade.stages] == [
        ("T1",),
        ("FLAIR", "T1"),
        ("FLAIR",),
    ]


def test_channels_of_one_name_are_told_apart_only_where_all_stages_take_them_all():
    same = ("image", "image")
    twice = Cascade(stages=(stage("a", Focus(), channels=same), stage("b", channels=same)))
    assert twice.channels == same
    with pytest.raises(ValueError, match="two channels of one name"):
        Cascade(stages=(stage("a", Focus(), channels=same), stage("b", channels=("image",))))


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ((), "no stage draws anything"),
        ((stage("a", Focus()),), "no stage draws anything"),
        ((stage("a"), stage("a")), "two stages have one name"),
        ((stage("a", Focus(structure="liver")), stage("b")), "stage 'a': its model has no class"),
        ((stage("a", answer={"liver": 1}),), "no class 'liver', but whole, organ"),
        ((stage("a", given=Given(stage="b")), stage("b")), "before it there is no stage"),
        (
            (stage("a", Focus()), stage("b", given=Given(stage="a"))),
            "its model has 1 channels, too few for the scan and what 'a' gives",
        ),
        (
            (
                stage("a", Focus(), labels=LAYERS),
                stage("b", channels=("CT", "m"), given=Given(stage="a", what="mask")),
            ),
            "overlapping classes do not fit into one channel",
        ),
        (
            (
                stage("a", PresenceGate(structure="organ")),
                stage("b", channels=("CT", "m"), given=Given(stage="a")),
            ),
            "the presence gate 'a' has no mask",
        ),
        ((stage("a", PresenceGate(structure="whole")), stage("b")), "'whole' is a union"),
    ],
)
def test_what_cannot_be_a_cascade_is_refused(stages, message):
    with pytest.raises(ValueError, match=message):
        Cascade(stages=stages)


def test_a_presence_gate_is_one_model():
    committee = Committee(models=(model(labels=ORGAN), model(labels=ORGAN)))
    gate = replace(stage("a", PresenceGate(structure="organ")), model=committee)
    with pytest.raises(ValueError, match="a presence gate is no committee's"):
        Cascade(stages=(gate, stage("b")))


def test_two_classes_with_one_id_are_refused_with_a_way_out():
    with pytest.raises(DataError) as caught:
        Cascade(stages=(stage("a"), stage("b", labels=LESION)))
    assert str(caught.value) == (
        "the label id 1 is used twice. Fix: say which classes each stage answers, and under which "
        "ids, such as answer: {cyst: 3}."
    )
    with pytest.raises(DataError, match="they cannot be one mask"):
        Cascade(stages=(stage("a"), stage("b", labels=LAYERS)))


@pytest.mark.parametrize("shape", [(7, 8, 9), (11, 6)])
def test_the_extent_of_a_class_is_that_of_all_its_voxels(shape):
    labels = Labels(
        classes=(Class(name="all"), Class(name="a", id=3, parent="all"), Class(name="b", id=5))
    )
    mask = np.random.default_rng(3).choice([0, 3, 5], p=[0.98, 0.01, 0.01], size=(1, *shape))
    for name, own in (("all", [3]), ("b", [5]), (None, [3, 5])):
        region = np.isin(mask[0], own)
        assert find_extent(mask, name, labels) == (bounding_box(region), region.sum())
        layers = np.stack([mask[0] == 3, mask[0] == 5]).astype(np.uint8)
        over = replace(labels, overlapping=True)
        assert find_extent(layers, name, over) == (bounding_box(region), region.sum())
    assert find_extent(np.zeros_like(mask), None, labels) == (None, 0)
