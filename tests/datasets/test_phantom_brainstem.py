"""The brainstem of 36 nuclei: as the schema numbers them, rare and common, and not given away."""

from pathlib import Path

import numpy as np
import pytest

from delineate.datasets import phantom_brainstem, read_dataset, synthesise
from delineate.datasets.brainstem_atlas import (
    ATLAS,
    BRAINSTEM_ID,
    MEDULLA_ID,
    RANGES,
    atlas_labels,
)
from delineate.datasets.canvas import Drawing
from delineate.datasets.phantom_brainstem import draw_brainstem
from delineate.systems.brainstem.schema_file import SHIPPED, read_schema

IDS = [nucleus.id for nucleus in ATLAS]
SMALL = (48, 40, 72)


@pytest.fixture(scope="module")
def subjects() -> list[Drawing]:
    return [draw_brainstem(np.random.default_rng((0, i)), SMALL) for i in range(6)]


def test_names_and_ids_are_those_of_the_shipped_schema():
    schema = {s.key: (s.label_id, s.parent) for s in read_schema(SHIPPED).structures}
    assert len(ATLAS) == 36
    assert {n.name: (n.id, n.subdivision) for n in ATLAS}.items() <= schema.items()
    labels = atlas_labels()
    assert labels.names == tuple(c.name for c in labels.classes)
    for part in RANGES:
        own = [c.id for c in labels.leaves if c.parent == part]
        assert own == [n.id for n in ATLAS if n.subdivision == part]
    assert len(labels.members("brainstem")) == 36 + 2  # and what is in no nucleus


def test_every_subject_has_every_nucleus_and_the_largest_is_a_hundred_times_the_least(subjects):
    sizes = np.array(
        [[(d.mask == i).sum() for i in (BRAINSTEM_ID, MEDULLA_ID, *IDS)] for d in subjects]
    )
    assert sizes.min() >= 12
    means = sizes[:, 2:].mean(0)
    assert 70 <= means.max() / means.min() <= 140


def test_voxels_are_200_um_whatever_the_shape(subjects):
    tiny = draw_brainstem(np.random.default_rng(0), (16, 20, 24))
    assert tiny.spacing == subjects[0].spacing == (0.2, 0.2, 0.2)


def test_nuclei_lie_in_their_subdivision(subjects):
    mask = subjects[0].mask
    heights = {n.abbreviation: np.argwhere(mask == n.id)[:, 2].mean() for n in ATLAS}
    parts = {
        part: [heights[n.abbreviation] for n in ATLAS if n.subdivision == part] for part in RANGES
    }
    assert min(parts["midbrain"]) > max(parts["medulla"])
    assert np.mean(parts["midbrain"]) > np.mean(parts["pons"]) > np.mean(parts["medulla"])


def test_neither_position_nor_signal_alone_finds_the_nuclei(subjects):
    first, *others = subjects
    ids = np.array([0, BRAINSTEM_ID, MEDULLA_ID, *IDS])
    votes = sum((d.mask[None] == ids.reshape(-1, 1, 1, 1)).astype(int) for d in others)
    assert nuclei_dice(ids[np.argmax(votes, 0)], first.mask) < 0.5
    image = first.image[0].astype(float)
    means = np.array([image[first.mask == i].mean() for i in ids])
    nearest = ids[np.abs(image[..., None] - means).argmin(-1)]
    assert nuclei_dice(nearest, first.mask) < 0.2


def nuclei_dice(found: np.ndarray, truth: np.ndarray) -> float:
    pairs = [(found == i, truth == i) for i in IDS]
    return float(np.mean([2 * (a & b).sum() / (a.sum() + b.sum()) for a, b in pairs]))


def test_drawing_in_boxes_is_drawing_in_the_whole_field(monkeypatch):
    shape = (20, 18, 33)
    boxes = draw_brainstem(np.random.default_rng(3), shape)
    everywhere = tuple(slice(0, n) for n in shape)
    monkeypatch.setattr(phantom_brainstem, "_around", lambda *_: everywhere)
    whole = draw_brainstem(np.random.default_rng(3), shape)
    np.testing.assert_array_equal(boxes.mask, whole.mask)
    np.testing.assert_array_equal(boxes.image, whole.image)


def test_a_nucleus_outside_of_the_field_is_not_drawn(subjects):
    canvas = phantom_brainstem.Canvas(
        points=np.zeros((3, 4, 4, 4), np.float32), spacing=(0.2,) * 3, width=0.1
    )
    assert phantom_brainstem._around(canvas, np.full(3, 9.0), np.ones(3)) == (slice(0, 0),) * 3


def test_the_tree_is_the_documented_one(tmp_path: Path):
    root = synthesise("brainstem", tmp_path / "set", cases=2, shape=(16, 16, 24))
    files = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    own = {"T2w.nii.gz", "manual_segmentation.nii.gz", "labels.txt"}
    assert files == {
        "metadata/brainstem_labels_schema.json",
        *(f"{folder}/{name}" for folder in ("nextbrain", "nextbrain_001") for name in own),
    }
    assert [case.id for case in read_dataset(root).cases] == ["nextbrain", "nextbrain_001"]
    schema = read_schema(root / "metadata" / "brainstem_labels_schema.json")
    declared = {s.key: s.label_id for s in schema.structures}
    assert declared == {c.name: c.id for c in atlas_labels().classes}
    lines = (root / "nextbrain" / "labels.txt").read_text().splitlines()
    assert lines[:2] == ["0 background", "9 brainstem"]
    assert "4 red_nucleus" in lines
