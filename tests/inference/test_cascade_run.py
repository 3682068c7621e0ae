"""Stages that feed each other, with networks whose answer is known voxel by voxel."""

import logging
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from thresholds import A, B, Threshold, flat_plan, ids, levels, model, save
from torch import nn

from delineate.contracts import Output
from delineate.errors import ConfigError, DataError
from delineate.inference.answer import Extras
from delineate.inference.cascade import (
    Cascade,
    Focus,
    Gate,
    Given,
    PresenceGate,
    Segment,
    Stage,
)
from delineate.inference.cascade_run import run_cascade
from delineate.inference.domain import take_domain
from delineate.inference.model import Model
from delineate.inference.predict import predict_volume
from delineate.io import Volume, read_volume, write_mask
from delineate.io.volume import Grid
from delineate.labels import Class, Labels

SHAPE = (24, 20, 22)
ONE = Labels(classes=(Class(name="a", id=A),))
SPOT = Labels(classes=(Class(name="spot", id=7),))


def volume(array, affine=None):
    affine = np.eye(4) if affine is None else affine
    array = array if array.ndim == 4 else array[None]
    return Volume(array=array, affine=affine, source=Grid(shape=array.shape[1:], affine=affine))


def blob(value=1.0, at=(slice(8, 14), slice(6, 12), slice(9, 15))):
    """An image with one box in it."""
    image = np.zeros(SHAPE, np.float32)
    image[at] = value
    return image


def run(cascade, scan, **options):
    return run_cascade(cascade.to("cpu"), scan, predict_volume, **options)


def cascade(*stages):
    return Cascade(stages=tuple(stages))


def asked(stage):
    """The shapes of the windows that a stage's network was shown."""
    return [shape for shape, _ in stage.model.networks[0].seen]


def test_a_focus_changes_no_voxel_of_a_local_network_and_shows_it_less():
    image = levels(SHAPE, 3)
    image[:4] = image[:, :5] = image[:, :, 15:] = 0
    fine = Stage(name="fine", model=model(), does=Segment())
    both = cascade(Stage(name="coarse", model=model(), does=Focus(margin_mm=2.0)), fine)
    mask, warnings = run(both, volume(image))
    np.testing.assert_array_equal(mask.array[0], ids(image))
    assert warnings == ()
    windows = len(asked(fine))
    run(cascade(fine), volume(image))
    assert windows < len(asked(fine)) - windows


def test_outside_the_crop_there_is_background_even_where_the_network_would_draw():
    image = blob()
    image[0, 0, 0] = 2.0
    everything = Stage(
        name="all", model=model(Threshold(low=-1, classes=1), labels=ONE), does=Segment()
    )
    focus = Focus(structure="a", margin_mm=1.5)
    mask, _ = run(
        cascade(Stage(name="where", model=model(), does=focus), everything), volume(image)
    )
    expected = np.zeros(SHAPE, int)
    expected[6:16, 4:14, 7:17] = A
    np.testing.assert_array_equal(mask.array[0], expected)


def test_the_mask_lies_right_on_a_turned_and_stretched_file(tmp_path):
    affine = np.array([[0, 0, -2.0, 9], [-1, 0, 0, 7], [0, 1, 0, 2], [0, 0, 0, 1]])
    image = blob(at=(slice(3, 9), slice(10, 16), slice(2, 8)))
    scan = read_volume(save(tmp_path / "a.nii", image, affine))
    found, _ = run(
        cascade(
            Stage(name="where", model=model(spacing=(2.0, 1.0, 1.0)), does=Focus(margin_mm=3)),
            Stage(name="what", model=model(spacing=(2.0, 1.0, 1.0)), does=Segment()),
        ),
        scan,
    )
    write_mask(tmp_path / "m.nii", found.array, found)
    written = read_volume(tmp_path / "m.nii")
    np.testing.assert_array_equal(written.array, found.array)
    np.testing.assert_array_equal(found.array[0], ids(scan.array[0]))


@pytest.mark.parametrize("kind", [Gate(structure="b"), Gate(structure="b", least_mm3=217)])
def test_behind_a_gate_that_stays_shut_there_is_background_and_no_stage_runs(kind, caplog):
    caplog.set_level(logging.INFO, "delineate")
    behind = Stage(name="behind", model=model(), does=Segment())
    gate = Stage(name="gate", model=model(), does=kind)
    image = blob(2.0 if kind.least_mm3 else 1.0)
    mask, warnings = run(cascade(gate, behind), volume(image))
    assert not mask.array.any()
    assert (warnings, asked(behind)) == ((), [])
    size = " (216 mm3)" if kind.least_mm3 else ""
    assert f"gate: no b found{size}; the stages after it are not run" in caplog.text


def test_a_gate_that_opens_lets_the_whole_scan_through():
    image = blob(2.0)
    image[0, 0, 0] = 1.0
    gate = Stage(name="gate", model=model(), does=Gate(structure="b", least_mm3=216))
    mask, _ = run(cascade(gate, Stage(name="all", model=model(), does=Segment())), volume(image))
    np.testing.assert_array_equal(mask.array[0], ids(image))


class Presence(nn.Module):
    """Says that class a is there by the mean of a window, and b by nothing."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, image):
        self.seen.append((tuple(image.shape), float(image.sum())))
        a = torch.logit(image.flatten(1).mean(1).clamp(1e-6, 1 - 1e-6))
        return Output(logits=None, presence=torch.stack((a, torch.full_like(a, -9.0)), dim=1))


@pytest.mark.parametrize(("level", "opens"), [(0.4, True), (0.2, False)])
def test_a_presence_gate_goes_by_the_window_that_shows_most(level, opens):
    """One window's mean is the level; that of all others, and of the scan, is less."""
    image = np.zeros((8, 8, 24), np.float32)
    image[:, :, 16:] = level
    gate = PresenceGate(structure="a", probability=0.3)
    stages = cascade(
        Stage(name="there", model=model(Presence()), does=gate),
        Stage(name="all", model=model(Threshold(low=0.1, high=9.0)), does=Segment()),
    )
    mask, _ = run(stages, volume(image))
    np.testing.assert_array_equal(mask.array[0] == A, (image > 0) & opens)


def test_presence_is_the_mean_over_networks():
    networks = (Presence(), Presence())
    scan = volume(np.full((8, 8, 8), 0.4, np.float32))
    gate = Model(networks=networks, plan=model().plan)
    for probability, opens in ((0.39, True), (0.41, False)):
        does = PresenceGate(structure="a", probability=probability)
        stages = cascade(
            Stage(name="there", model=gate, does=does),
            Stage(name="all", model=model(Threshold(low=0.1)), does=Segment()),
        )
        assert run(stages, scan)[0].array.any() == opens


@pytest.mark.parametrize(
    ("network", "message"),
    [(Threshold(), "the network has no image-level output"), (None, "2 image-level outputs, but")],
)
def test_a_network_without_the_outputs_is_no_presence_gate(network, message):
    labels = model().labels if network else ONE
    gate = model(network or Presence(), labels=labels)
    stages = cascade(
        Stage(name="there", model=gate, does=PresenceGate(structure="a")),
        Stage(name="all", model=model(), does=Segment()),
    )
    with pytest.raises(DataError, match=message):
        run(stages, volume(blob()))


def test_where_nothing_is_found_the_scan_goes_on_whole_or_not_at_all_and_is_warned_of():
    image = blob(1.0)
    fine = Stage(name="fine", model=model(), does=Segment())
    for otherwise, drawn, told in (
        ("whole", True, "the next stages see all of what it saw"),
        ("background", False, "the rest is background"),
    ):
        focus = Stage(name="coarse", model=model(), does=Focus(structure="b", otherwise=otherwise))
        mask, warnings = run(cascade(focus, fine), volume(image))
        assert warnings == (f"coarse: no b found: {told}",)
        assert mask.array.any() == drawn


def test_too_little_of_a_structure_is_not_found():
    focus = Stage(name="coarse", model=model(), does=Focus(least_mm3=217.0))
    fine = Stage(name="fine", model=model(), does=Segment())
    mask, warnings = run(cascade(focus, fine), volume(blob()))
    assert warnings == (
        "coarse: no structure found (216 mm3): the next stages see all of what it saw",
    )
    assert (mask.array == A).sum() == 216


def test_one_focus_within_another_is_pasted_back_at_the_right_place():
    image = blob(1.0, at=(slice(4, 20), slice(2, 18), slice(3, 19)))
    image[10:13, 9:12, 8:11] = 2.0
    outer = Stage(name="organ", model=model(), does=Focus(margin_mm=1), answer={"a": 1})
    inner = Stage(name="spot", model=model(), does=Focus(structure="b", margin_mm=0))
    last = Stage(
        name="last",
        model=model(Threshold(low=-1, classes=1), labels=SPOT),
        does=Segment(),
    )
    mask, _ = run(cascade(outer, inner, last), volume(image))
    expected = np.where(image == 1, 1, 0)
    expected[10:13, 9:12, 8:11] = 7
    np.testing.assert_array_equal(mask.array[0], expected)


def test_a_later_stage_draws_over_an_earlier_one_and_its_background_leaves_it():
    image = levels(SHAPE, 5)
    first = Stage(name="first", model=model(), does=Segment(), answer={"a": 1, "b": 2})
    twos = model(Threshold(low=1.5, high=9.0))
    second = Stage(name="second", model=twos, does=Segment(), answer={"a": 1})
    assert cascade(first, second).labels.names == ("a", "b")
    mask, _ = run(cascade(first, second), volume(image))
    np.testing.assert_array_equal(mask.array[0], image > 0.5)


class Layers(nn.Module):
    """Class a above 0.5, class b above 1.5, each a yes or no of its own."""

    def forward(self, image):
        return torch.cat((image[:, :1] - 0.5, image[:, :1] - 1.5), dim=1)


def test_overlapping_classes_stay_layers():
    labels = Labels(
        classes=(
            Class(name="all"),
            Class(name="a", id=1, parent="all"),
            Class(name="b", id=2, parent="all"),
        ),
        overlapping=True,
    )
    image = levels(SHAPE, 7)
    plain = model(Layers(), labels=labels)
    mask, _ = run(cascade(Stage(name="one", model=plain, does=Segment())), volume(image))
    np.testing.assert_array_equal(mask.array, np.stack([image > 0.5, image > 1.5]))
    spare = Stage(name="two", model=plain, does=Segment(), answer={"b": 1})
    union = Stage(name="one", model=plain, does=Focus(structure="all"), answer={"all": 2})
    mask, _ = run(cascade(union, spare), volume(image))
    np.testing.assert_array_equal(mask.array, np.stack([image > 0.5, image > 1.5]))


class Second(nn.Module):
    """Shows what it is given: class a where the second channel is above 0.5; notes all channels."""

    def __init__(self):
        super().__init__()
        self.channels = []

    def forward(self, image):
        self.channels.append(image)
        x = image[:, 1:2] - 0.5
        return torch.cat((0 * x, x), dim=1)


@pytest.mark.parametrize(
    ("what", "channels", "expected"),
    [
        ("mask", 1, lambda image: [ids(image)]),
        ("classes", 2, lambda image: [image == 1, image == 2]),
        ("probabilities", 2, None),
    ],
)
def test_a_stage_is_given_what_an_earlier_one_has_found_in_its_crop(what, channels, expected):
    image = levels(SHAPE, 9)
    image[:6] = 0
    names = ("MR", *(f"given {i}" for i in range(channels)))
    network = Second()
    taker = model(network, labels=ONE, channels=names, patch=(18, 20, 22))
    stages = cascade(
        Stage(name="coarse", model=model(), does=Segment(), answer={}),
        Stage(name="focus", model=model(), does=Focus(margin_mm=0)),
        Stage(name="fine", model=taker, does=Segment(), given=Given(stage="coarse", what=what)),
    )
    # Stored from back to front and sideways: rows of probabilities run along the second axis.
    axes = np.array([[0, -1.0, 0, 9], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
    source = Grid(shape=(22, 24, 20), affine=axes)
    run(stages, replace(volume(image), source=source))
    shown = network.channels[-1][0].numpy()
    np.testing.assert_array_equal(shown[0], image[6:])
    if expected is not None:
        np.testing.assert_array_equal(shown[1:], np.stack(expected(image))[:, 6:])
        return
    x = image[6:]
    scores = np.exp(np.stack([0 * x, np.sign(x - 0.5), 2 * np.sign(x - 1.5)]))
    np.testing.assert_allclose(shown[1:], (scores / scores.sum(0))[1:], rtol=1e-4)


def test_stages_pick_their_channels_by_name():
    t1, flair = levels(SHAPE, 1), levels(SHAPE, 2)
    stages = cascade(
        Stage(name="first", model=model(channels=("T1",)), does=Gate()),
        Stage(name="second", model=model(channels=("FLAIR", "T1")), does=Segment()),
    )
    mask, _ = run(stages, volume(np.stack([t1, flair])))
    np.testing.assert_array_equal(mask.array[0], ids(flair))
    with pytest.raises(DataError, match="has 1 channels but the cascade needs 2: T1, FLAIR"):
        run(stages, volume(t1))


def test_pictures_go_through_too():
    image = np.zeros((1, 30, 20), np.float32)
    image[0, 12:18, 5:9] = 1
    flat = Model(networks=(Threshold(),), plan=flat_plan())
    stages = cascade(
        Stage(name="where", model=flat, does=Focus(margin_mm=3)),
        Stage(name="what", model=flat, does=Segment()),
    )
    picture = Volume(array=image, affine=np.eye(4), source=Grid(shape=(30, 20), affine=np.eye(4)))
    mask, _ = run(stages, picture)
    np.testing.assert_array_equal(mask.array[0], ids(image[0]))


def test_warnings_name_the_stage_whose_training_looked_otherwise():
    image = blob()
    seen = [volume(levels((24, 20, 22), i)) for i in range(4)]
    used = model()
    odd = Model(networks=used.networks, plan=used.plan, domain=take_domain(seen, used.plan))
    stages = cascade(
        Stage(name="where", model=used, does=Focus(margin_mm=0)),
        Stage(name="what", model=odd, does=Segment()),
    )
    _, warnings = run(stages, volume(image))
    assert warnings
    assert all(text.startswith("what: ") for text in warnings)
    assert any("field of view 6 mm" in text for text in warnings)


def test_a_cascade_has_masks_only():
    stages = cascade(Stage(name="one", model=model(), does=Segment()))
    with pytest.raises(ConfigError, match="a cascade gives masks only"):
        run(stages, volume(blob()), extras=Extras(uncertainty=True))


def test_every_stage_is_held_to_the_budget_of_the_whole():
    stages = cascade(
        Stage(name="where", model=model(), does=Focus(margin_mm=0)),
        Stage(name="what", model=model(), does=Segment()),
    )
    tight = partial(predict_volume, memory_gb=0.001)
    with pytest.raises(DataError, match=r"memory_gb=0\.001 cannot hold one window"):
        run_cascade(stages, volume(blob()), tight)
    gate = Stage(name="there", model=model(Presence()), does=PresenceGate(structure="a"))
    with pytest.raises(DataError, match=r"memory_gb=0\.001 cannot hold one window"):
        run_cascade(cascade(gate, *stages.stages), volume(blob()), tight, memory_gb=0.001)


def test_the_scan_itself_is_not_changed():
    image = levels(SHAPE, 11)
    scan = volume(image.copy())
    stages = cascade(
        Stage(name="where", model=model(), does=Focus(margin_mm=0), answer={"b": B}),
        Stage(name="what", model=model(labels=model().labels), does=Segment(), answer={"a": A}),
    )
    run(stages, scan)
    np.testing.assert_array_equal(scan.array[0], image)
