import nibabel
import numpy as np
import pytest
from PIL import Image
from toy_models import FLAT, OVERLAPPING, Threshold, levels, make_model, make_plan, save_scan

from delineate.errors import ConfigError
from delineate.inference import Outputs, find_scans, predict_cases
from delineate.io import read_mask, read_volume

ALL = {"probabilities": True, "uncertainty": True}
LPS_OBLIQUE = np.array(
    [[0, -0.6, -0.8 * 2, 5], [-1.0, 0, 0, 7], [0, 0.8, -0.6 * 2, 2], [0, 0, 0, 1]]
)


def predict(tmp_path, model, scan, **outputs):
    out = tmp_path / "out"
    scans = find_scans([scan], 1)
    assert predict_cases(model, scans, out, outputs=Outputs(**outputs)) == ()
    return out


@pytest.mark.parametrize(
    ("suffix", "probabilities"),
    [(".nii.gz", ".nii"), (".nii", ".nii"), (".nrrd", ".nrrd"), (".h5", ".h5"), (".mha", ".nii")],
)
def test_every_format_holds_masks_probabilities_and_maps_on_the_scans_axes(
    tmp_path, suffix, probabilities
):
    image = levels((9, 14, 6))
    scan = save_scan(tmp_path / "case.nii.gz", image, LPS_OBLIQUE)
    plan = make_plan(spacing=(2.0, 1.0, 1.0))
    model = make_model(Threshold(), Threshold(at=0.7), plan=plan)
    out = predict(tmp_path, model, scan, suffix=suffix, **ALL)
    own = read_volume(scan)
    mask = read_mask(out / f"case{suffix}")
    np.testing.assert_array_equal(mask.array, np.select([own.array > 1.5, own.array > 0.5], [9, 3]))
    shares = read_volume(out / "probabilities" / f"case{probabilities}")
    assert shares.array.shape == (3, *own.shape)
    assert shares.array.dtype == np.float32
    np.testing.assert_allclose(shares.array.sum(0), 1, atol=1e-5)
    np.testing.assert_array_equal(plan.labels.decode(shares.array.argmax(0)), mask.array[0])
    entropy = read_volume(out / "entropy" / f"case{suffix}")
    apart = read_volume(out / "disagreement" / f"case{suffix}")
    assert (apart.array <= entropy.array + 1e-3).all()
    assert 0 < entropy.array.max() <= 1
    for found in (mask, shares, entropy, apart):
        np.testing.assert_allclose(found.affine, own.affine, atol=1e-5)
        assert found.shape == own.shape


def test_probabilities_in_nifti_run_along_a_last_axis_as_other_tools_expect(tmp_path):
    scan = save_scan(tmp_path / "case.nii.gz", levels((9, 14, 6)), LPS_OBLIQUE)
    out = predict(tmp_path, make_model(), scan, probabilities=True)
    found = nibabel.Nifti1Image.load(out / "probabilities" / "case.nii")
    assert found.shape == (9, 14, 6, 3)
    np.testing.assert_allclose(np.asarray(found.affine), LPS_OBLIQUE, atol=1e-6)


def test_overlapping_classes_go_into_every_format_of_volumes(tmp_path):
    image = levels((8, 8, 8))
    scan = save_scan(tmp_path / "case.nii.gz", image)
    model = make_model(Threshold(overlapping=True), plan=make_plan(labels=OVERLAPPING))
    for suffix in (".nii.gz", ".nrrd", ".h5"):
        out = predict(tmp_path, model, scan, suffix=suffix, **ALL)
        found = read_mask(out / f"case{suffix}").array
        np.testing.assert_array_equal(found, np.stack([image > 0.5, image > 1.5]))
    assert read_volume(out / "probabilities" / "case.h5").array.shape == (2, 8, 8, 8)


def test_pictures_have_16_bit_pictures_of_probability_and_doubt(tmp_path):
    image = levels((20, 13)).astype(np.uint8)
    Image.fromarray(image).save(tmp_path / "slide.png")
    model = make_model(plan=make_plan(**FLAT))
    out = predict(tmp_path, model, tmp_path / "slide.png", suffix=".png", **ALL)
    shares = [
        np.asarray(Image.open(out / "probabilities" / f"slide_{name}.png"), np.int64)
        for name in ("background", "a", "b")
    ]
    np.testing.assert_allclose(np.sum(shares, axis=0), 65535, atol=2)
    np.testing.assert_array_equal(np.argmax(shares, axis=0), image)
    assert (out / "entropy" / "slide.png").exists()
    assert not (out / "disagreement").exists()


@pytest.mark.parametrize(
    ("suffix", "model", "message"),
    [
        (".png", make_model(), r"'.png' holds pictures, but the model draws volumes"),
        (".tif", make_model(plan=make_plan(labels=OVERLAPPING)), "but the classes overlap"),
        (".dat", make_model(), r"'.dat' is not written. Can be written: .nii.gz, .nii, .nrrd"),
    ],
)
def test_a_format_that_cannot_hold_the_masks_is_refused_before_anything_is_done(
    tmp_path, suffix, model, message
):
    with pytest.raises(ConfigError, match=message):
        predict_cases(model, [], tmp_path / "out", outputs=Outputs(suffix=suffix))
    assert not (tmp_path / "out").exists()


def test_a_dicom_segmentation_of_another_file_is_a_failure_of_that_scan(tmp_path):
    scan = save_scan(tmp_path / "case.nii.gz", levels((8, 8, 8)))
    scans = find_scans([scan], 1)
    (failure,) = predict_cases(
        make_model(), scans, tmp_path / "out", outputs=Outputs(suffix=".dcm")
    )
    assert "a DICOM-SEG refers to the DICOM images that it was drawn on" in str(failure)
