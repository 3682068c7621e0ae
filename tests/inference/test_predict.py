import nibabel
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from delineate.inference import find_scans, predict_case, predict_cases, windows_of
from delineate.labels import Class, Labels
from delineate.plan import Network, Normalisation, Plan

RNG = np.random.default_rng(4)


class Threshold(nn.Module):
    """Draws class 1 where the image is above 0.5, class 2 above 1.5."""

    def __init__(self, overlapping=False):
        super().__init__()
        self.overlapping = overlapping

    def forward(self, image):
        x = image[:, :1]
        if self.overlapping:
            return torch.cat((x - 0.5, x - 1.5), dim=1)
        return torch.cat((0.5 - x, 0.5 * (x - 0.5).sign(), 2 * (x - 1.5)), dim=1)


def plan(**changes):
    labels = Labels(classes=(Class(name="a", id=3), Class(name="b", id=9)))
    figures = {
        "channels": ("MR",),
        "labels": labels,
        "spacing": (1.0, 1.0, 1.0),
        "shape": (12, 12, 12),
        "crop_nonzero": False,
        "normalisation": (Normalisation(kind="none"),),
        "separate_axis": None,
        "patch": (8, 8, 8),
        "batch_size": 2,
        "network": Network(
            features=(4,), strides=((1, 1, 1),), kernels=((3, 3, 3),), convolutions=(2,)
        ),
        "memory_gb": 1.0,
    }
    return Plan(**(figures | changes))


def levels(shape):
    return RNG.choice([0.0, 1.0, 2.0], size=shape).astype(np.float32)


def ids(image):
    return np.select([image > 1.5, image > 0.5], [9, 3])


def save(path, array, affine=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4) if affine is None else affine), path)
    return path


def test_a_mask_lies_on_the_scans_own_grid_and_axes(tmp_path):
    image = levels((9, 14, 11))
    affine = np.array([[0, 0, -1.0, 5], [-1, 0, 0, 7], [0, 1, 0, 2], [0, 0, 0, 1]])
    scan = save(tmp_path / "in" / "case.nii.gz", image, affine)
    out = tmp_path / "out"
    assert predict_cases(Threshold(), plan(), find_scans([scan], 1), out) == ()
    found = nibabel.Nifti1Image.load(out / "case.nii.gz")
    np.testing.assert_array_equal(found.dataobj, ids(image))
    np.testing.assert_allclose(np.asarray(found.affine), affine)


def test_a_scan_of_another_spacing_is_resampled_there_and_back(tmp_path):
    image = np.zeros((12, 12, 6), np.float32)
    image[3:9, 3:9, 2:5] = 1
    scan = save(tmp_path / "case.nii", image, np.diag((1.0, 1.0, 2.0, 1.0)))
    found = predict_case(Threshold(), plan(), [scan]).array
    assert found.shape == (1, 12, 12, 6)
    np.testing.assert_array_equal(found[0] == 3, image == 1)


def test_overlapping_classes_come_out_as_layers(tmp_path):
    image = levels((8, 9, 10))
    labels = Labels(classes=(Class(name="a", id=1), Class(name="b", id=2)), overlapping=True)
    scan = save(tmp_path / "case.nii", image)
    found = predict_case(Threshold(overlapping=True), plan(labels=labels), [scan], flips=(0, 1, 2))
    np.testing.assert_array_equal(found.array, np.stack([image > 0.5, image > 1.5]))


def test_one_bad_scan_is_reported_and_the_rest_is_done(tmp_path):
    save(tmp_path / "in" / "a.nii.gz", levels((8, 8, 8)))
    (tmp_path / "in" / "b.nii.gz").write_bytes(b"not a scan")
    save(tmp_path / "in" / "c.nii.gz", levels((8, 8, 8, 2)))
    save(tmp_path / "in" / "d.nii.gz", levels((8, 8, 8)))
    scans = find_scans([tmp_path / "in"], 1)
    failures = predict_cases(Threshold(), plan(), scans, tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.nii.gz", "d.nii.gz"]
    assert [f.case for f in failures] == ["b", "c"]
    assert str(failures[1]).startswith("c: the image has 2 channels but the plan is for 1: MR.")


def test_a_rerun_keeps_what_is_there_and_does_the_rest(tmp_path):
    for case in "ab":
        save(tmp_path / "in" / f"{case}.nii", levels((8, 8, 8)))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.nii.gz").write_text("kept")
    seen = []

    def progress(items, total, description):
        seen.append((total, description))
        yield from items

    scans = find_scans([tmp_path / "in"], 1)
    assert predict_cases(Threshold(), plan(), scans, tmp_path / "out", progress=progress) == ()
    assert (tmp_path / "out" / "a.nii.gz").read_text() == "kept"
    assert (tmp_path / "out" / "b.nii.gz").exists()
    assert seen == [(2, "predicting")]


def test_a_picture_gives_a_picture(tmp_path):
    image = RNG.choice([0, 1, 2], size=(20, 13)).astype(np.uint8)
    Image.fromarray(image).save(tmp_path / "slide.png")
    network = Network(features=(4,), strides=((1, 1),), kernels=((3, 3),), convolutions=(2,))
    flat = plan(spacing=(1.0, 1.0), shape=(20, 13), patch=(8, 8), network=network)
    scans = find_scans([tmp_path / "slide.png"], 1)
    assert predict_cases(Threshold(), flat, scans, tmp_path / "out") == ()
    found = np.asarray(Image.open(tmp_path / "out" / "slide.png"))
    np.testing.assert_array_equal(found, ids(image))


@pytest.mark.parametrize(
    ("patch", "network_dims", "seen", "mirror_axis"),
    [((8, 8, 8), 3, (0, 1, 2), 0), ((8, 8, 1), 2, (0, 1), 0), ((8, 8), 2, (0, 1), 1)],
)
def test_the_cut_knows_what_the_network_sees(patch, network_dims, seen, mirror_axis):
    ones = (1,) * network_dims
    network = Network(features=(4,), strides=(ones,), kernels=(ones,), convolutions=(2,))
    planned = plan(patch=patch, network=network)
    cut = windows_of(planned, flips=planned.seen_axes)
    assert (cut.flips, cut.mirror_axis, cut.batch) == (seen, mirror_axis, 2)
    assert windows_of(plan(patch=patch, network=network)).flips == ()
