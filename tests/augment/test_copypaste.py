"""Lesions of one sample on the tissue of another."""

import pytest
import torch
from scipy.ndimage import gaussian_filter

from delineate.augment import CopyPaste
from delineate.augment.distance import remake_distances
from delineate.contracts import Batch, Target
from delineate.labels import Labels

LABELS = Labels.from_names({"liver": 1, "tumour": 2})
STILL = {"donor": 0.0, "shift": [0.0, 0.0]}


def tissue(value=1.0, size=(16, 16)):
    """Bright, but for a dark first row."""
    image = torch.full((1, *size), value)
    image[:, 0] = -2.0
    return image


def make_batch(masks, images=None, **rest):
    return Batch(
        image=torch.stack(images or [tissue(1.0), tissue(3.0)]),
        target=Target(mask=torch.stack(masks), **rest),
        spacing=(1.0, 1.0),
        cases=("a", "b"),
        step=0,
    )


def lesion(rows=slice(4, 7), columns=slice(5, 9), ids=2):
    mask = torch.zeros(16, 16, dtype=torch.int64)
    mask[rows, columns] = ids
    return mask


def test_only_the_named_classes_are_copied_with_their_grey_values():
    own = torch.zeros(16, 16, dtype=torch.int64)
    donor = lesion(slice(2, 12), slice(2, 12), ids=1)
    donor[4:7, 5:9] = 2
    batch = make_batch([own, donor])
    part = CopyPaste(classes=["tumour"], feather_mm=0, labels=LABELS)
    after = part.apply(batch, [STILL, None])
    assert torch.equal(after.target.mask[0], lesion())
    assert torch.equal(after.image[0, 0] == 3.0, lesion() == 2)
    assert torch.equal(after.image[1], batch.image[1])


@pytest.mark.parametrize("shift", [(0.25, -0.125), (-0.0625, 0.3125)])
def test_a_shifted_lesion_moves_by_whole_voxels(shift):
    batch = make_batch([lesion(ids=0), lesion()])
    draw = {"donor": 0.0, "shift": list(shift)}
    after = CopyPaste(feather_mm=0).apply(batch, [draw, None])
    steps = [round(s * 16) for s in shift]
    assert torch.equal(after.target.mask[0], lesion().roll(steps, (0, 1)))


def test_what_lands_beyond_the_patch_is_lost_and_nothing_wraps_around():
    batch = make_batch([lesion(ids=0), lesion()])
    after = CopyPaste().apply(batch, [{"donor": 0.0, "shift": [0.0, 0.5]}, None])
    assert torch.equal(after.target.mask[0], lesion(columns=slice(13, 16)))
    gone = CopyPaste().apply(batch, [{"donor": 0.0, "shift": [0.0, 0.9]}, None])
    assert torch.equal(gone.image, batch.image)


def test_lesions_land_on_tissue_only():
    """Not on air, which is dark, and not beyond the scan, where images are 0."""
    image = tissue(1.0)
    image[:, :, 8:] = 0
    batch = make_batch([lesion(ids=0), lesion(rows=slice(0, 6))], [image, tissue(3.0)])
    after = CopyPaste(feather_mm=0).apply(batch, [STILL, None])
    assert torch.equal(after.target.mask[0], lesion(rows=slice(1, 6), columns=slice(5, 8)))
    assert torch.equal(after.image[0, 0] == 3.0, after.target.mask[0] == 2)


def test_a_feathered_lesion_is_whole_and_fades_out_around():
    batch = make_batch([lesion(ids=0), lesion()])
    after = CopyPaste(feather_mm=1.5).apply(batch, [STILL, None])
    share = ((after.image[0, 0] - batch.image[0, 0]) / 2)[1:]
    inside = (lesion() == 2)[1:]
    assert share[inside].min() == 1
    blur = gaussian_filter((lesion() == 2).double().numpy(), 1.5, mode="constant", truncate=6)[1:]
    expected = torch.from_numpy(2 * blur).clamp(max=1).float()
    torch.testing.assert_close(share[~inside], expected[~inside], atol=0.03, rtol=0)
    assert torch.equal(after.target.mask[0], lesion())


def test_overlapping_masks_are_united_so_the_organ_stays_under_its_lesion():
    organ = torch.ones(16, 16)
    masks = [torch.stack([organ, organ * 0]), torch.stack([organ * 0, (lesion() == 2).float()])]
    batch = make_batch(masks, presence=torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    target = CopyPaste(classes=[1]).apply(batch, [STILL, None]).target
    assert target.mask[0, 0].all()
    assert torch.equal(target.mask[0, 1], masks[1][1])
    assert target.presence[0].tolist() == [1.0, 1.0]


def test_presence_and_distances_follow_the_lesion():
    own, donor = lesion(slice(9, 14), slice(3, 12), ids=1), lesion(slice(8, 12), slice(5, 9))
    blank = torch.zeros(3, 16, 16)
    known = torch.stack([remake_distances(blank, m, (1.0, 1.0)) for m in (own, donor)])
    batch = make_batch([own, donor], distance=known, presence=torch.tensor([[1.0, 0], [0, 1.0]]))
    target = CopyPaste(labels=LABELS).apply(batch, [STILL, None]).target
    assert target.presence.tolist() == [[1.0, 1.0], [0.0, 1.0]]
    expected = remake_distances(blank, target.mask[0], (1.0, 1.0))
    torch.testing.assert_close(target.distance[0], expected)


def test_a_donor_without_the_lesion_gives_nothing():
    batch = make_batch([lesion(), lesion(ids=1)])
    after = CopyPaste(classes=["tumour"], labels=LABELS).apply(batch, [STILL, None])
    assert torch.equal(after.image, batch.image)
    assert torch.equal(after.target.mask, batch.target.mask)


def test_a_class_by_name_needs_labels():
    with pytest.raises(ValueError) as error:
        CopyPaste(classes=["tumour"])
    assert str(error.value) == (
        "CopyPaste: there is no class 'tumour' (known: no labels were given). "
        "Fix: name a class of the data set, or give the number of a channel."
    )


def test_no_class_at_all_is_refused():
    with pytest.raises(ValueError) as error:
        CopyPaste(classes=[])
    assert str(error.value) == (
        "CopyPaste: classes is empty. Fix: name some, or leave it out for all."
    )
