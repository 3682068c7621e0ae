"""Ghosts and motion against k-space by brute force."""

import numpy as np
import pytest
import torch
from scipy.ndimage import affine_transform

from delineate.augment import Frame, Ghosting, Motion
from delineate.augment.geometry import _rotation


def changed(transform, draw, image, spacing=None):
    image = image.clone()
    transform.change(image, [draw] * len(image), spacing or (1.0,) * (image.dim() - 2))
    return image


def noise(*size):
    return torch.rand((1, 2, *size), generator=torch.Generator().manual_seed(0)) + 3


def still(dims):
    turns = [0.0] * (1 if dims == 2 else 3)
    return {"rotation_degrees": turns, "scale": [1.0] * dims, "shift": [0.0] * dims}


def signed_lines(size):
    """The number of each line of an unshifted spectrum."""
    return (np.arange(size) + size // 2) % size - size // 2


@pytest.mark.parametrize("size", [(12, 10), (12, 9, 10)])
@pytest.mark.parametrize("axis", [0, 1])
def test_ghosting_weakens_every_nth_line_but_the_central_one(size, axis):
    image, draw = noise(*size), {"axis": axis, "ghosts": 3, "strength": 0.4}
    low = image.amin(tuple(range(2, image.dim())), keepdim=True)
    axes = tuple(range(2, image.dim()))
    spectrum = np.fft.fftn((image - low).numpy(), axes=axes)
    numbers = signed_lines(size[axis])
    weights = np.where((numbers % 3 == 0) & (numbers != 0), 0.6, 1.0)
    spectrum *= weights.reshape([-1 if a == axis + 2 else 1 for a in range(image.dim())])
    expected = np.abs(np.fft.ifftn(spectrum, axes=axes)) + low.numpy()
    np.testing.assert_allclose(changed(Ghosting(), draw, image).numpy(), expected, atol=1e-5)


def test_a_thin_line_has_its_ghosts_an_nth_part_of_the_patch_apart():
    image = torch.zeros(1, 1, 24, 4)
    image[0, 0, 5] = 1
    after = changed(Ghosting(), {"axis": 0, "ghosts": 4, "strength": 0.5}, image)[0, 0, :, 0]
    mean = 0.5 / 24
    assert after.topk(4).indices.sort().values.tolist() == [5, 11, 17, 23]
    assert after[11].item() == pytest.approx(0.5 / 4 - mean, abs=1e-5)


def test_a_patient_who_did_not_move_leaves_no_motion():
    image = noise(11, 12, 10)
    draw = {"axis": 1, "times": [0.3, 0.8], "poses": [still(3), still(3)]}
    torch.testing.assert_close(changed(Motion(), draw, image), image, atol=1e-5, rtol=0)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_motion_takes_each_line_from_the_pose_that_held_then(axis):
    size, spacing = (14, 12, 13), (1.0, 1.5, 1.2)
    image = noise(*size)
    poses = [{**still(3), "shift": [0.1, 0.0, -0.05]}, {**still(3), "rotation_degrees": [5, 0, 8]}]
    draw = {"axis": axis, "times": [0.3, 0.7], "poses": poses}
    low = image.amin((2, 3, 4), keepdim=True)
    signal = (image - low).numpy()[0]
    copies = [moved(signal, poses[0], spacing), signal, moved(signal, poses[1], spacing)]
    spectra = [np.fft.fftn(c, axes=(1, 2, 3)) for c in copies]
    times = (signed_lines(size[axis]) + size[axis] // 2 + 0.5) / size[axis]
    segment = np.digitize(times, [0.3, 0.7])
    rows = segment.reshape([-1 if a == axis else 1 for a in range(3)])
    spectrum = np.select([rows == n for n in range(3)], spectra)
    expected = np.abs(np.fft.ifftn(spectrum, axes=(1, 2, 3))) + low.numpy()[0]
    after = changed(Motion(), draw, image, spacing)[0].numpy()
    np.testing.assert_allclose(after, expected, atol=2e-3)


def moved(signal, pose, spacing):
    """Linear interpolation of the pose, by SciPy; the border repeats itself."""
    size, mm = np.array(signal.shape[1:]), np.array(spacing)
    matrix = (_rotation(pose["rotation_degrees"], 3).T * mm) / mm[:, None]
    centre = (size - 1) / 2
    offset = centre - matrix @ (centre + np.array(pose["shift"]) * size)
    return np.stack([affine_transform(c, matrix, offset, order=1, mode="nearest") for c in signal])


@pytest.mark.parametrize("times", [[0.1], [0.9], [0.05, 0.2, 0.95]])
def test_tissue_stays_where_its_labels_are(times):
    """The central lines are of the pose that is labelled."""
    x, y, z = np.meshgrid(*[np.arange(32) - 15.5] * 3, indexing="ij")
    ball = torch.from_numpy(x**2 + y**2 + z**2 < 81).float()[None, None]
    pose = {**still(3), "shift": [0.06, 0.06, 0.06]}
    draw = {"axis": 0, "times": times, "poses": [pose] * len(times)}
    after = changed(Motion(), draw, ball) > 0.5
    overlap = 2 * (after & (ball > 0)).sum() / (after.sum() + ball.sum())
    assert overlap > 0.97


def test_stacks_of_slices_move_within_their_plane():
    frame = Frame(channels=1, patch=(16, 16, 8), spacing=(0.5, 0.5, 4.0))
    for seed in range(10):
        draw = Motion().values(np.random.default_rng(seed), frame)
        assert draw["axis"] in (0, 1)
        assert all(
            p["shift"][2] == 0 and p["rotation_degrees"][:2] == [0, 0] for p in draw["poses"]
        )
