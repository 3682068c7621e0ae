"""Distances after a paste against brute force."""

import numpy as np
import torch
from scipy.spatial import cKDTree

from delineate.augment.distance import mend_distances, remake_distances

SPACING = (1.0, 1.5, 0.8)


def brute_force(mask, channels=3, spacing=SPACING):
    """Each voxel's distance to the nearest centre on the other side of each class's surface."""
    points = np.stack(np.indices(mask.shape), -1).reshape(-1, mask.dim()) * spacing[: mask.dim()]
    maps = []
    for channel in range(channels):
        inside = (mask == channel).numpy().ravel()
        if inside.all() or not inside.any():
            maps.append(np.zeros(mask.shape))
            continue
        to_class, to_rest = (cKDTree(points[side]).query(points)[0] for side in (inside, ~inside))
        maps.append(np.where(inside, -to_rest, to_class).reshape(mask.shape))
    return torch.from_numpy(np.stack(maps)).float()


def blobs(seed, size=(12, 10, 8)):
    generator = torch.Generator().manual_seed(seed)
    rough = torch.randn(3, *(n // 2 for n in size), generator=generator)
    smooth = torch.nn.functional.interpolate(rough[None], size=size, mode="trilinear")[0]
    return (smooth + torch.tensor([0.8, 0, 0]).view(3, 1, 1, 1)).argmax(0)


def test_a_signed_distance_is_to_the_nearest_centre_across_the_surface():
    mask = blobs(0)
    torch.testing.assert_close(
        remake_distances(torch.zeros(3, *mask.shape), mask, SPACING), brute_force(mask)
    )


def test_a_class_that_is_absent_or_everywhere_has_no_surface():
    remade = remake_distances(torch.ones(2, 4, 4), torch.ones(4, 4), (1.0, 1.0))
    assert not remade.any()


def test_a_pasted_box_leaves_the_distances_of_the_new_mask():
    for seed in range(5):
        before = blobs(seed)
        after = before.clone()
        after[3:8, 4:8, 2:5] = blobs(seed + 100)[3:8, 4:8, 2:5]
        mended = mend_distances(brute_force(before), before, after, SPACING)
        torch.testing.assert_close(mended, brute_force(after))


def test_overlapping_masks_are_mended_channel_by_channel():
    before, added = blobs(1), blobs(2)
    masks = [torch.stack([m == 1, m == 2]).float() for m in (before, added)]
    union = torch.maximum(*masks)
    old = torch.stack([brute_force(m.long(), 2)[1] for m in masks[0]])
    new = torch.stack([brute_force(m.long(), 2)[1] for m in union])
    torch.testing.assert_close(mend_distances(old, masks[0], union, SPACING), new)


def cut(tensor):
    """A patch from the middle of a scan."""
    return tensor[..., 8:20, 8:20, 8:20]


def scan():
    """A structure of two parts, one of them outside of the patch that `cut` takes."""
    mask = torch.zeros(28, 28, 28, dtype=torch.int64)
    mask[2:7, 10:18, 10:18] = 1
    mask[14:16, 14:16, 14:16] = 1
    return mask


def test_what_only_grew_keeps_its_distance_to_parts_beyond_the_patch():
    before = scan()
    after = before.clone()
    after[17:19, 10:12, 12:13] = 1
    known = cut(brute_force(before, 2))
    mended = mend_distances(known, cut(before), cut(after), SPACING)
    expected = cut(brute_force(after, 2))
    torch.testing.assert_close(mended, expected)
    alone = brute_force(cut(after), 2)
    assert (alone != expected).any()


def test_near_its_surface_a_map_stays_whatever_was_lost_far_off():
    before = scan()
    after = before.clone()
    after[14:16, 14:16, 14:16] = 0
    after[18, 18, 18] = 1
    known = cut(brute_force(before, 2))
    mended, expected = (
        mend_distances(known, cut(before), cut(after), SPACING),
        cut(brute_force(after, 2)),
    )
    # The first planes are nearest to the part beyond the patch.
    torch.testing.assert_close(mended[:, :2], expected[:, :2])


def test_a_class_that_loses_its_last_voxel_has_no_distance():
    before = torch.zeros(6, 6, 6, dtype=torch.int64)
    before[2, 2, 2] = 1
    mended = mend_distances(brute_force(before, 2), before, torch.zeros_like(before), SPACING)
    assert not mended.any()


def test_ignored_voxels_that_come_or_go_are_no_class():
    before = blobs(3)
    after = before.clone()
    before[2:5, 2:5, 2:5], after[6:9, 4:8, 2:5] = -1, -1
    mended = mend_distances(brute_force(before), before, after, SPACING)
    torch.testing.assert_close(mended, brute_force(after))
