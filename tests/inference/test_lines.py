import pytest
import torch

from delineate.inference.lines import make_line


@pytest.mark.parametrize("size", [1, 5, 8, 9, 16, 17, 40])
@pytest.mark.parametrize("overlap", [0.0, 0.3, 0.5, 0.9])
def test_windows_reach_from_border_to_border_and_their_weights_add_up_to_one(size, overlap):
    line = make_line(size, 8, overlap)
    total = torch.zeros(size)
    for start, weight in zip(line.starts, line.weights, strict=True):
        for i, w in enumerate(weight):
            if 0 <= start + i < size:
                total[start + i] += w
    torch.testing.assert_close(total, torch.ones(size))
    if size >= 8:
        assert (line.starts[0], line.starts[-1]) == (0, size - 8)
        steps = [b - a for a, b in zip(line.starts, line.starts[1:], strict=False)]
        assert all(step <= max(1, 8 * (1 - overlap)) + 0.5 for step in steps)


def test_a_window_larger_than_the_scan_has_it_in_its_middle():
    assert make_line(5, 8, 0.5).starts == (-1,)
    assert make_line(4, 8, 0.5).starts == (-2,)


def test_the_windows_that_touch_a_stretch_are_those_that_share_a_voxel_with_it():
    line = make_line(24, 8, 0.5)
    assert line.starts == (0, 4, 8, 12, 16)
    assert line.touching(0, 24) == [0, 1, 2, 3, 4]
    assert line.touching(8, 9) == [1, 2]
    assert line.touching(7, 8) == [0, 1]
