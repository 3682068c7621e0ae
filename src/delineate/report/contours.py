"""The outline of a mask in one plane, half-way between its voxels and the rest."""

import numpy as np

__all__ = ["contour", "loops"]

# Corners of a cell: 8 upper left, 4 upper right, 2 lower right, 1 lower left. Edges are (row,
# column) in half voxels. Segments run with the mask on one side, so they chain into loops.
_TOP, _RIGHT, _BOTTOM, _LEFT = (0, 1), (1, 2), (2, 1), (1, 0)
_SEGMENTS = {
    1: [(_LEFT, _BOTTOM)], 2: [(_BOTTOM, _RIGHT)], 3: [(_LEFT, _RIGHT)], 4: [(_RIGHT, _TOP)],
    5: [(_LEFT, _BOTTOM), (_RIGHT, _TOP)], 6: [(_BOTTOM, _TOP)], 7: [(_LEFT, _TOP)],
    8: [(_TOP, _LEFT)], 9: [(_TOP, _BOTTOM)], 10: [(_TOP, _LEFT), (_BOTTOM, _RIGHT)],
    11: [(_TOP, _RIGHT)], 12: [(_RIGHT, _LEFT)], 13: [(_RIGHT, _BOTTOM)], 14: [(_BOTTOM, _LEFT)],
}  # fmt: skip

Step = tuple[int, int]
Place = tuple[float, float]


def contour(mask: np.ndarray) -> str:
    """An SVG path around the voxels of (rows, columns); voxel (0, 0) covers 0..1 of x and y."""
    return "".join(
        "M" + "L".join(f"{x:g} {y:g}" for x, y in corners) + "Z" for corners in loops(mask)
    )


def loops(mask: np.ndarray) -> list[list[Place]]:
    """The same outlines as closed polygons of (x, y); holes run the other way round."""
    return [_corners(loop) for loop in _chained(_links(mask))]


def _links(mask: np.ndarray) -> dict[Step, Step]:
    """Where each crossing leads, in half voxels of the mask with a border of one voxel."""
    padded = np.pad(mask.astype(np.uint8), 1)
    cells = 8 * padded[:-1, :-1] + 4 * padded[:-1, 1:] + 2 * padded[1:, 1:] + padded[1:, :-1]
    links = {}
    for row, column in np.argwhere((cells > 0) & (cells < 15)).tolist():
        for start, end in _SEGMENTS[int(cells[row, column])]:
            links[_at(row, column, start)] = _at(row, column, end)
    return links


def _at(row: int, column: int, edge: Step) -> Step:
    return 2 * row + edge[0], 2 * column + edge[1]


def _chained(links: dict[Step, Step]) -> list[list[Step]]:
    loops = []
    while links:
        start, place = links.popitem()
        loop = [start]
        while place != start:
            loop.append(place)
            place = links.pop(place)
        loops.append(loop)
    return loops


def _corners(loop: list[Step]) -> list[Place]:
    """Places on a straight line are left out."""
    ahead = [*loop[1:], loop[0]]
    behind = [loop[-1], *loop[:-1]]
    # Half voxels between centres of the padded mask to voxel edges of the mask itself.
    return [
        ((here[1] - 1) / 2, (here[0] - 1) / 2)
        for last, here, following in zip(behind, loop, ahead, strict=True)
        if (here[0] - last[0], here[1] - last[1])
        != (following[0] - here[0], following[1] - here[1])
    ]
