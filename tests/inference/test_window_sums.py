from itertools import product

import numpy as np
import pytest
import torch

from delineate.inference.sums import Sums


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_rows_of_a_ring_come_out_once_and_complete_over_its_seam(axis):
    rng, box = np.random.default_rng(0), [(0, 6), (2, 7), (1, 5)]
    box[axis] = (0, 11)
    shape = [b - a for a, b in box]
    sums = Sums(2, tuple(box), axis=axis, depth=4, device=torch.device("cpu"))
    expected = np.zeros((2, 20, 20, 20))
    found = np.full((2, *shape), np.nan)
    done = 0

    def release(stop):
        nonlocal done
        for start, part in sums.release(done, stop):
            index = [slice(None)] * 4
            index[1 + axis] = slice(start, start + part.shape[1 + axis])
            assert np.isnan(found[tuple(index)]).all()
            found[tuple(index)] = part.numpy()
        done = stop

    others = [a for a in range(3) if a != axis]
    for first in (0, 3, 6, 7):
        release(first)
        # In the order of the axes; the last two are clipped to the same voxels of a box.
        for pair in product((-2, 0, 3, 4), repeat=2):
            start = [first] * 3
            for a, other in zip(others, pair, strict=True):
                start[a] = other
            lines = [torch.rand(4) for _ in range(3)]
            logits = torch.from_numpy(rng.normal(size=(2, 4, 4, 4)).astype(np.float32))
            sums.add(logits, start, lines)
            weight = np.einsum("i,j,k->ijk", *(line.numpy() for line in lines))
            place = tuple(slice(a + 4, a + 8) for a in start)
            expected[(slice(None), *place)] += logits.numpy() * weight
    release(11)
    inside = expected[(slice(None), *(slice(a + 4, b + 4) for a, b in box))]
    np.testing.assert_allclose(found, inside, atol=1e-6)


def test_the_window_is_not_changed():
    for kind in (torch.float32, torch.float16):
        sums = Sums(1, ((0, 4),), axis=0, depth=4, kind=kind, device=torch.device("cpu"))
        logits = torch.ones(1, 4)
        sums.add(logits, (0,), [torch.full((4,), 0.5)])
        assert torch.equal(logits, torch.ones(1, 4))
        ((_, part),) = sums.release(0, 4)
        assert part.dtype == kind
