"""Phantoms: seeded, every layout read back, and pictures that can be learnt from."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from delineate.datasets import PHANTOMS, read_dataset, synthesise
from delineate.errors import DataError
from delineate.io import read_mask, read_volume

SMALL = {2: (48, 40), 3: (28, 24, 20)}
WAYS = [(kind, layout) for kind, phantom in PHANTOMS.items() for layout in phantom.layouts]


def draw(kind: str, seed: int, i: int, shape: tuple[int, ...] | None = None):
    phantom = PHANTOMS[kind]
    return phantom.draw(np.random.default_rng((seed, i)), shape or phantom.subject.shape)


@pytest.mark.parametrize(("kind", "layout"), WAYS)
def test_every_layout_is_found_again_with_the_drawn_voxels(
    tmp_path: Path, kind: str, layout: str
) -> None:
    subject = PHANTOMS[kind].subject
    shape = SMALL[len(subject.shape)]
    root = synthesise(kind, tmp_path / "set", cases=2, shape=shape, seed=3, layout=layout)
    dataset = read_dataset(root)
    assert (dataset.layout, dataset.orphans) == (layout, ())
    drawing = draw(kind, 3, 0, shape)
    case = dataset.cases[0]
    np.testing.assert_array_equal(
        read_volume(case.images[0]).array[0],
        drawing.image[1 if "FLAIR" in case.id else 0],
    )
    mask = read_mask(str(case.label))
    expected = drawing.mask if drawing.mask.ndim > len(shape) else drawing.mask[None]
    np.testing.assert_array_equal(mask.array, expected)
    if layout != "hdf5":
        np.testing.assert_allclose(mask.spacing, drawing.spacing, rtol=1e-5)
    assert mask.shape == shape


@pytest.mark.parametrize("kind", ["organs", "lesions", "nuclei", "slices", "spine"])
def test_nnunet_keeps_channels_and_the_whole_hierarchy(tmp_path: Path, kind: str) -> None:
    subject = PHANTOMS[kind].subject
    shape = SMALL[len(subject.shape)]
    dataset = read_dataset(synthesise(kind, tmp_path / "s", cases=1, shape=shape, layout="nnunet"))
    assert dataset.labels == subject.labels
    assert dataset.channels == subject.channels


def test_hdf5_splits_follow_the_number_of_the_case(tmp_path: Path) -> None:
    dataset = read_dataset(synthesise("structures", tmp_path / "s", cases=10, shape=(16, 16, 16)))
    counts = [sum(c.split == s for c in dataset.cases) for s in ("train", "validation", "test")]
    assert counts == [7, 2, 1]
    for case in dataset.cases:
        shown = read_mask(str(case.label)).array.any(axis=(1, 2, 3))
        assert case.presence == tuple(shown.astype(int))


def test_bids_channels_of_one_patient_can_be_asked_for(tmp_path: Path) -> None:
    root = synthesise("lesions", tmp_path / "s", cases=2, shape=SMALL[3], layout="bids")
    assert [case.group for case in read_dataset(root).cases] == [
        "sub-001",
        "sub-001",
        "sub-002",
        "sub-002",
    ]
    dataset = read_dataset(root, layout="bids:channels=T1w+FLAIR")
    assert [case.id for case in dataset.cases] == ["sub-001", "sub-002"]
    assert dataset.channels == ("T1w", "FLAIR")


@pytest.mark.parametrize("kind", PHANTOMS)
def test_a_case_depends_on_seed_and_number_alone(tmp_path: Path, kind: str) -> None:
    shape = SMALL[len(PHANTOMS[kind].subject.shape)]
    few = synthesise(kind, tmp_path / "few", cases=1, shape=shape, seed=5)
    many = synthesise(kind, tmp_path / "many", cases=2, shape=shape, seed=5)
    other = synthesise(kind, tmp_path / "other", cases=1, shape=shape, seed=6)
    first, same, differs = (
        read_volume(read_dataset(root).cases[0].images[0]).array for root in (few, many, other)
    )
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, differs)


@pytest.mark.parametrize("kind", ["organs", "lesions", "nuclei", "slices", "spine"])
def test_every_class_is_large_enough_and_differs_from_its_surroundings(kind: str) -> None:
    subject = PHANTOMS[kind].subject
    drawings = [draw(kind, 0, i) for i in range(3)]
    for leaf in subject.labels.leaves:
        sizes = [int((d.mask == leaf.id).sum()) for d in drawings]
        assert max(sizes) >= 60, leaf.name
        if leaf.name not in ("tumour", "lesion"):
            assert min(sizes) > 0, leaf.name


def test_about_a_quarter_of_the_livers_have_no_tumour() -> None:
    without = sum(not (draw("organs", 1, i, (32, 24, 24)).mask == 2).any() for i in range(40))
    assert 4 <= without <= 18


def test_right_is_right_in_the_organs() -> None:
    mask = draw("organs", 0, 0).mask
    left, right, liver = (np.argwhere(mask == i)[:, 0].mean() for i in (4, 5, 1))
    assert left < mask.shape[0] / 2 < right
    assert liver > mask.shape[0] / 2


def test_lesions_are_bright_in_flair_and_dark_in_t1() -> None:
    for i in range(3):
        drawing = draw("lesions", 0, i, (48, 56, 48))
        lesion = drawing.mask == 1
        near = np.zeros_like(lesion)
        for axis in range(3):
            near |= np.roll(lesion, 3, axis) | np.roll(lesion, -3, axis)
        near &= ~lesion
        t1, flair = drawing.image.astype(float)
        assert flair[lesion].mean() > flair[near].mean()
        assert t1[lesion].mean() < t1[near].mean() * 1.05


def test_nuclei_lie_inside_the_brainstem() -> None:
    drawing = draw("nuclei", 0, 0)
    names = PHANTOMS["nuclei"].subject.labels
    # Channels and ids are the same numbers here.
    inside = np.isin(drawing.mask, names.members("midbrain"))
    above = np.argwhere(inside)[:, 2].mean()
    pons = np.argwhere(drawing.mask == 2)[:, 2].mean()
    medulla = np.argwhere(drawing.mask == 3)[:, 2].mean()
    assert above > pons > medulla


def test_scenarios_vary_and_leave_structures_out() -> None:
    drawings = [draw("structures", 0, i, (24, 24, 16)) for i in range(30)]
    assert len({d.scenario for d in drawings}) >= 5
    shown = np.array([d.presence for d in drawings]).mean(axis=0)
    assert (shown > 0.4).all()
    assert (shown < 1).any()
    assert all(d.image.min() >= 0 and d.image.max() <= 255 for d in drawings)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            {"kind": "hearts"},
            "synth: 'hearts' is unknown. Fix: use one of organs, heart, lesions, nuclei,",
        ),
        (
            {"kind": "slices", "layout": "bids"},
            "synth: 'slices' cannot be written as 'bids'. Fix: use folders or nnunet.",
        ),
        (
            {"kind": "organs", "shape": (64, 64)},
            "synth: the shape 64x64 does not fit 'organs'. "
            "Fix: give 3 sizes of 16 or more, such as 80x64x64.",
        ),
        ({"kind": "organs", "cases": 0}, "synth: 0 cases were asked for. Fix: ask for 1 or more."),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    tmp_path: Path, asked: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError) as error:
        synthesise(out=tmp_path / "s", **{"cases": 1, **asked})
    assert str(error.value).startswith(message)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError) as error:
        synthesise("slices", tmp_path, cases=1, shape=SMALL[2])
    assert str(error.value) == (
        f"{tmp_path}: already holds something. Fix: give a new folder, or remove it."
    )


def test_an_interrupted_drawing_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from delineate.datasets import write_layout

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(write_layout, "write_mask", stop)
    with pytest.raises(KeyboardInterrupt):
        synthesise("slices", tmp_path / "s", cases=1, shape=SMALL[2])
    assert list(tmp_path.iterdir()) == []
