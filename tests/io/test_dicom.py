from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from delineate.errors import DataError, MissingExtra
from delineate.io import read_header, read_mask, read_volume, stem, write_mask

CT, MR, ENHANCED_MR = (f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("2", "4", "4.1"))
SERIES = "1.2.826.0.1.3680043.8.498.77"
TILTED = (0.8, 0.6, 0, 0, 0, -1)
NORMAL = np.cross(TILTED[:3], TILTED[3:])


def blank(path, pixels, kind=CT, series=SERIES):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = kind
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID = kind, meta.MediaStorageSOPInstanceUID
    ds.SeriesInstanceUID, ds.StudyInstanceUID, ds.Modality = series, "1.2.3", "CT"
    ds.Rows, ds.Columns = pixels.shape[-2:]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit = 15
    ds.PixelRepresentation = int(pixels.dtype.kind == "i")
    ds.PixelData = pixels.tobytes()
    return ds


def save(ds, path):
    ds.save_as(path, enforce_file_format=True)
    return path


def write_slice(path, pixels, position, *, slope=1, intercept=0, series=SERIES, **fields):
    ds = blank(path, pixels, series=series)
    ds.ImagePositionPatient = [float(f"{v:.8g}") for v in position]
    ds.ImageOrientationPatient = list(TILTED)
    ds.PixelSpacing = [0.7, 0.5]
    ds.SliceThickness = 2.5
    ds.RescaleSlope, ds.RescaleIntercept = slope, intercept
    for name, value in fields.items():
        setattr(ds, name, value)
    return save(ds, path)


def write_series(folder, *, count=6, gap=2.5, **options):
    """A tilted series whose file names run against its geometry."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(5)
    values = rng.integers(0, 2000, (count, 4, 3)).astype(np.uint16)
    for index, pixels in enumerate(values):
        position = np.array([10.0, -20, 30]) + NORMAL * gap * index
        write_slice(folder / f"IM{count - index:03d}", pixels, position, **options)
    return folder, values


def through_itk(folder):
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()


def assert_as_itk(volume, image):
    """The same grid, and the same value at 200 voxels looked up by their place in mm."""
    lps = np.eye(4)
    lps[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    lps[:3, 3] = image.GetOrigin()
    theirs = np.diag([-1.0, -1, 1, 1]) @ lps
    np.testing.assert_allclose(volume.source.affine, theirs, atol=1e-3)
    assert volume.source.shape == image.GetSize()
    values = SimpleITK.GetArrayFromImage(image)
    rng = np.random.default_rng(0)
    inverse = np.linalg.inv(theirs) @ volume.affine
    for _ in range(200):
        index = [int(rng.integers(size)) for size in volume.shape]
        i, j, k = np.rint(inverse @ [*index, 1])[:3].astype(int)
        assert volume.array[0][tuple(index)] == pytest.approx(values[k, j, i], abs=1e-3)


def folders_of(real_data):
    return sorted({path.parent for path in (real_data / "dicom_series").rglob("*.dcm")})


def test_real_series_read_as_simpleitk_reads_them(real_data):
    folders = folders_of(real_data)
    assert len(folders) == 4
    for folder in folders:
        volume = read_volume(folder)
        assert_as_itk(volume, through_itk(folder))
        header = read_header(folder)
        assert (header.channels, *header.shape) == volume.array.shape
        assert header.dtype == volume.array.dtype


def test_slices_are_ordered_by_place_and_rescaled(tmp_path):
    folder, values = write_series(tmp_path / "a", slope=2, intercept=-1024)
    volume = read_volume(folder)
    assert_as_itk(volume, through_itk(folder))
    assert volume.array.dtype == read_header(folder).dtype == np.float32
    assert volume.array.min() == values.min() * 2.0 - 1024


def test_each_slice_keeps_its_own_rescaling(tmp_path):
    pixels = np.full((4, 3), 10, np.uint16)
    for index in range(3):
        write_slice(tmp_path / f"{index}.dcm", pixels, NORMAL * index, slope=index + 1)
    array = read_volume(tmp_path).array
    assert sorted(set(array.ravel().tolist())) == [10, 20, 30]


def test_unscaled_values_keep_their_type(tmp_path):
    folder, _ = write_series(tmp_path / "a")
    assert read_volume(folder).array.dtype == np.uint16


def test_a_mask_goes_back_onto_the_series_grid(tmp_path):
    folder, values = write_series(tmp_path / "a")
    volume = read_volume(folder)
    write_mask(tmp_path / "mask.nrrd", volume.array[0] % 3, like=volume)
    mask = SimpleITK.ReadImage(str(tmp_path / "mask.nrrd"))
    scan = through_itk(folder)
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(mask), values % 3)
    np.testing.assert_allclose(mask.GetOrigin(), scan.GetOrigin(), atol=1e-5)
    np.testing.assert_allclose(mask.GetDirection(), scan.GetDirection(), atol=1e-5)
    np.testing.assert_allclose(mask.GetSpacing(), scan.GetSpacing(), atol=1e-5)
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.nrrd").array[0], volume.array[0] % 3)


def test_a_tilted_gantry_keeps_its_shear(tmp_path):
    step = NORMAL * 2.5 + np.array([0, 0, 0.8])
    for index in range(4):
        write_slice(tmp_path / f"{index}.dcm", np.zeros((4, 3), np.int16), step * index)
    volume = read_volume(tmp_path)
    np.testing.assert_allclose(volume.source.affine[:3, 2], step * (-1, -1, 1), atol=1e-5)


def test_several_series_are_listed_and_one_can_be_named(tmp_path):
    folder, _ = write_series(tmp_path / "a", SeriesDescription="thin")
    _, other = write_series(folder, count=3, series=SERIES + ".1")
    for index in range(3):
        (folder / f"IM{index + 1:03d}").rename(folder / f"other{index}")
    write_series(folder, SeriesDescription="thin")
    with pytest.raises(DataError) as error:
        read_volume(folder)
    assert str(error.value) == (
        f"{folder}: 2 series in one folder:\n"
        f"  {SERIES} (6 files, thin)\n"
        f"  {SERIES}.1 (3 files, no description)\n"
        f"  Fix: name one, such as {folder}::{SERIES}"
    )
    named = f"{folder}::{SERIES}.1"
    assert read_volume(named).array.size == other.size
    assert stem(named) == f"a_{SERIES}.1"
    with pytest.raises(DataError, match=r"no series 1\.9\. There are:"):
        read_volume(f"{folder}::1.9")


def test_a_missing_slice_is_named_with_its_neighbours(tmp_path):
    folder, _ = write_series(tmp_path / "a")
    (folder / "IM003").unlink()
    with pytest.raises(DataError) as error:
        read_header(folder)
    assert str(error.value) == (
        f"{folder}: 1 missing among 5 slices that lie 2.500 mm apart: "
        "5.000 mm between IM004 and IM002. Fix: fetch the series again."
    )


def test_unequal_gaps_and_doubled_places_are_errors(tmp_path):
    folder, values = write_series(tmp_path / "a")
    write_slice(folder / "IM003", values[3], np.array([10.0, -20, 30]) + NORMAL * 2.5 * 3.3)
    with pytest.raises(DataError, match=r"unequal gaps among 6 slices that lie 2\.500 mm apart"):
        read_volume(folder)
    write_slice(folder / "IM003", values[3], np.array([10.0, -20, 30]) + NORMAL * 2.5 * 2)
    with pytest.raises(DataError, match=r"1 slices lie at the place of another one, such as IM00"):
        read_volume(folder)


def test_slices_of_another_size_or_direction_are_errors(tmp_path):
    folder, _ = write_series(tmp_path / "a")
    write_slice(folder / "IM001", np.zeros((5, 3), np.uint16), NORMAL * 99)
    with pytest.raises(DataError, match=r"differ in size: IM001 has \(5, 3\), IM002 has \(4, 3\)"):
        read_volume(folder)
    pixels = np.zeros((4, 3), np.uint16)
    write_slice(folder / "IM001", pixels, NORMAL, ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    with pytest.raises(DataError, match=r"differ in orientation: IM001 has \(1\.0, 0\.0"):
        read_volume(folder)


def test_slices_without_a_place_are_errors(tmp_path):
    folder, _ = write_series(tmp_path / "a")
    save(blank(folder / "IM001", np.zeros((4, 3), np.uint16)), folder / "IM001")
    with pytest.raises(DataError, match=r"1 of 6 slices do not say where they lie .*: IM001\."):
        read_volume(folder)


def test_other_files_in_the_folder_are_passed_over(tmp_path):
    folder, _ = write_series(tmp_path / "a")
    (folder / "LICENSE").write_text("free")
    report = blank(folder / "report.dcm", np.zeros((1, 1), np.uint16), series="1.5")
    del report.Rows, report.Columns, report.PixelData
    save(report, folder / "report.dcm")
    assert read_volume(folder).shape[0] > 0
    with pytest.raises(DataError, match=r"report\.dcm: holds no image \(modality CT\)"):
        read_volume(folder / "report.dcm")


def test_an_empty_or_missing_folder_is_a_named_error(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: no DICOM image lies directly in this folder"):
        read_volume(tmp_path / "empty")
    with pytest.raises(DataError, match=r"empt: no such file\. Did you mean empty\?"):
        read_volume(f"{tmp_path / 'empt'}::1.2")


def test_one_slice_lies_in_space_and_an_x_ray_is_a_picture(tmp_path):
    pixels = np.arange(12, dtype=np.uint16).reshape(4, 3)
    placed = read_volume(write_slice(tmp_path / "slice.dcm", pixels, (1, 2, 3)))
    assert sorted(placed.shape) == [1, 3, 4]
    assert placed.source.shape == (3, 4, 1)
    plain = blank(tmp_path / "xray.dcm", pixels)
    plain.ImagerPixelSpacing = [0.2, 0.1]
    picture = read_volume(save(plain, tmp_path / "xray.dcm"))
    np.testing.assert_array_equal(picture.array[0], pixels)
    assert picture.spacing == (0.2, 0.1)


def test_colour_is_three_channels(tmp_path):
    colours = np.random.default_rng(0).integers(0, 255, (4, 3, 3), dtype=np.uint8)
    ds = blank(tmp_path / "us.dcm", np.zeros((4, 3), np.uint8))
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit = 7
    ds.PixelData = colours.tobytes()
    volume = read_volume(save(ds, tmp_path / "us.dcm"))
    np.testing.assert_array_equal(volume.array, np.moveaxis(colours, -1, 0))


def test_an_enhanced_multi_frame_file_is_the_series_it_holds(tmp_path):
    folder, values = write_series(tmp_path / "a", slope=3, intercept=-7)
    order = [3, 0, 5, 1, 4, 2]
    ds = blank(tmp_path / "enhanced.dcm", values[order], kind=ENHANCED_MR)
    ds.NumberOfFrames = len(order)
    shared, plane, measures, transform = Dataset(), Dataset(), Dataset(), Dataset()
    plane.ImageOrientationPatient = list(TILTED)
    measures.PixelSpacing, measures.SliceThickness = [0.7, 0.5], 2.5
    transform.RescaleSlope, transform.RescaleIntercept = 3, -7
    shared.PlaneOrientationSequence = [plane]
    shared.PixelMeasuresSequence = [measures]
    shared.PixelValueTransformationSequence = [transform]
    ds.SharedFunctionalGroupsSequence = [shared]
    groups = []
    for index in order:
        group, place = Dataset(), Dataset()
        position = np.array([10.0, -20, 30]) + NORMAL * 2.5 * index
        place.ImagePositionPatient = [float(f"{v:.8g}") for v in position]
        group.PlanePositionSequence = [place]
        groups.append(group)
    ds.PerFrameFunctionalGroupsSequence = groups
    enhanced, series = read_volume(save(ds, tmp_path / "enhanced.dcm")), read_volume(folder)
    np.testing.assert_array_equal(enhanced.array, series.array)
    np.testing.assert_allclose(enhanced.affine, series.affine, atol=1e-9)

    del ds.PerFrameFunctionalGroupsSequence
    with pytest.raises(DataError, match=r"enhanced\.dcm: 6 frames that do not say where they lie"):
        read_volume(save(ds, tmp_path / "enhanced.dcm"))


def test_broken_files_are_named(tmp_path):
    folder, _ = write_series(tmp_path / "a")
    data = (folder / "IM002").read_bytes()
    (folder / "IM002").write_bytes(data[:-8])
    with pytest.raises(DataError, match=r"IM002: the pixels cannot be decoded"):
        read_volume(folder)
    (tmp_path / "text.dcm").write_text("hello")
    with pytest.raises(DataError, match=r"text\.dcm: not a readable DICOM file"):
        read_volume(tmp_path / "text.dcm")


def test_without_pydicom_the_error_names_the_extra(tmp_path, monkeypatch):
    folder, _ = write_series(tmp_path / "a")
    monkeypatch.setitem(__import__("sys").modules, "pydicom", None)
    with pytest.raises(MissingExtra, match=r'pip install "delineate\[dicom\]"'):
        read_volume(folder)


def test_a_file_is_known_by_its_mark_whatever_its_name(tmp_path):
    path = write_slice(Path(tmp_path / "1.2.840.55"), np.ones((4, 3), np.uint16), (0, 0, 0))
    assert read_volume(path).array.sum() == 12
    assert pydicom.dcmread(path).Rows == 4
