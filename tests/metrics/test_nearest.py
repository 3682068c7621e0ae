import numpy as np
import pytest

from delineate.metrics.nearest import Board, nearest, reach, rings

RNG = np.random.default_rng(4)


def flat(places, shape):
    return np.ravel_multi_index(np.asarray(places).T, shape)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.7, 0.7, 5.0), (3.0, 0.9, 1.3), (1.0, 2.0)])
def test_distances_near_and_far_equal_brute_force(spacing):
    margin = np.array(reach(spacing))
    inner = np.array((40, 9, 23)[: len(spacing)])
    board = Board.of(tuple(inner + 2 * margin), spacing)
    start, goal = (
        np.unique(RNG.integers(0, inner, (n, len(spacing))), axis=0) + margin for n in (300, 12)
    )
    found = nearest(flat(start, board.shape), flat(goal, board.shape), board)
    every = np.linalg.norm((start[:, None] - goal[None]) * np.asarray(spacing), axis=-1)
    np.testing.assert_allclose(found, every.min(1), atol=1e-9)
    assert not board.marks.any()


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.5, 0.5, 5.0), (5.0, 5.0, 0.5)])
def test_rings_hold_every_step_up_to_their_last_length(spacing):
    known = rings(spacing)
    steps = {tuple(step) for ring in known for step in ring.steps.tolist()}
    lengths = [ring.length_mm for ring in known]
    assert lengths == sorted(lengths)
    assert lengths[0] == 0
    line = range(-12, 13)
    for step in ((i, j, k) for i in line for j in line for k in line):
        if np.linalg.norm(np.multiply(step, spacing)) < lengths[-1] - 1e-9:
            assert step in steps


def test_no_point_is_at_no_distance():
    board = Board.of((20, 20), (1.0, 1.0))
    goal = np.array([8 + 20 * 8])
    assert nearest(goal[:0], goal, board).shape == (0,)
