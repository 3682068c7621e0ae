"""Sums over regions against loops over voxels."""

import pytest
import torch

from delineate.losses.compare import Pair
from delineate.losses.sums import region_sums


def by_hand(probs, member, known, channels):
    """Voxel by voxel."""
    rows = torch.zeros(3, len(probs), len(channels), dtype=torch.double)
    for case in range(len(probs)):
        for column, k in enumerate(channels):
            for voxel in range(probs.shape[2]):
                if known[case, k, voxel]:
                    p, g = probs[case, k, voxel], member[case, k, voxel]
                    rows[:, case, column] += torch.stack((p * g, p, g))
    return rows


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("background", [False, True])
def test_sums_of_exclusive_classes_leave_out_ignored_voxels(background, batch):
    logits = torch.randn(2, 3, 7, dtype=torch.double)
    ids = torch.randint(-1, 3, (2, 7))
    found = region_sums(Pair(logits, ids), overlapping=False, background=background, batch=batch)
    member = torch.stack([(ids == k).double() for k in range(3)], 1)
    known = (ids >= 0)[:, None].expand(-1, 3, -1)
    rows = by_hand(logits.softmax(1), member, known, range(0 if background else 1, 3))
    expected = rows.sum(1, keepdim=True) if batch else rows
    torch.testing.assert_close(torch.stack(found), expected)


def test_sums_of_overlapping_classes_leave_out_what_is_unknown_of_each():
    logits = torch.randn(2, 3, 7, dtype=torch.double)
    mask = torch.randint(-1, 2, (2, 3, 7)).double()
    found = region_sums(Pair(logits, mask), overlapping=True, background=False, batch=False)
    rows = by_hand(logits.sigmoid(), (mask > 0).double(), mask >= 0, range(3))
    torch.testing.assert_close(torch.stack(found), rows)
