"""The figures of a fingerprint against the arrays that they come from."""

import json
import sys

import nibabel
import numpy as np
import pytest

from delineate.datasets.case import Case, Dataset
from delineate.errors import DataError, PlanError
from delineate.labels import Class, Labels
from delineate.plan import Fingerprint, take_fingerprint

SPACING = (0.5, 1.0, 2.0)


def _save(path, array):
    affine = np.diag([*SPACING, 1.0])
    nibabel.Nifti1Image(array, affine).to_filename(path)
    return str(path)


def _dataset(root, masks, images=None, **rest):
    rng = np.random.default_rng(0)
    cases = []
    for number, mask in enumerate(masks):
        if images is None:
            image = rng.normal(100, 10, mask.shape).astype(np.float32)
        else:
            image = images[number]
        cases.append(
            Case(
                id=f"case_{number}",
                images=(_save(root / f"i{number}.nii.gz", image),),
                label=_save(root / f"m{number}.nii.gz", mask),
            )
        )
    return Dataset(root=root, layout="list", cases=tuple(cases), **rest)


def _mask(shape=(6, 7, 8), **boxes):
    mask = np.zeros(shape, np.uint8)
    for name, count in boxes.items():
        value = int(name[1:])
        mask.reshape(-1)[value * 20 : value * 20 + count] = value
    return mask


def test_shapes_spacing_and_voxels_per_label_are_counted(tmp_path):
    dataset = _dataset(tmp_path, [_mask(v1=5, v2=7), _mask((5, 5, 5), v2=3)])

    found = take_fingerprint(dataset)

    assert found.dims == 3
    assert [c.shape for c in found.cases] == [(6, 7, 8), (5, 5, 5)]
    assert found.cases[0].spacing == pytest.approx(SPACING)
    assert found.cases[0].voxels == {0: 336 - 12, 1: 5, 2: 7}
    assert [c.present for c in found.cases] == [(1, 2), (2,)]


def test_undeclared_labels_are_named_by_their_values(tmp_path):
    found = take_fingerprint(_dataset(tmp_path, [_mask(v3=5), _mask(v1=2)]))

    assert found.labels == Labels.from_names({"label 1": 1, "label 3": 3})


def test_declared_labels_are_kept_and_the_ignored_id_is_no_foreground(tmp_path):
    labels = Labels(classes=(Class(name="organ", id=1), Class(name="absent", id=4)), ignore=2)
    mask = _mask(v1=10, v2=10)
    image = np.where(mask == 2, 1e6, 5.0).astype(np.float32)

    found = take_fingerprint(_dataset(tmp_path, [mask], [image], labels=labels))

    assert found.labels == labels
    assert found.intensities[0].maximum == 5.0


def test_intensities_are_those_of_the_foreground_of_all_cases(tmp_path):
    rng = np.random.default_rng(1)
    masks = [_mask(v1=15, v2=20), _mask(v1=12)]
    images = [rng.normal(50, 20, m.shape).astype(np.float32) for m in masks]
    inside = np.concatenate([i[m > 0] for i, m in zip(images, masks, strict=True)]).astype(float)

    (figures,) = take_fingerprint(_dataset(tmp_path, masks, images)).intensities

    assert figures.mean == pytest.approx(inside.mean())
    assert figures.deviation == pytest.approx(inside.std())
    assert figures.median == pytest.approx(np.median(inside))
    assert figures.low == pytest.approx(np.percentile(inside, 0.5))
    assert figures.high == pytest.approx(np.percentile(inside, 99.5))
    assert (figures.minimum, figures.maximum) == (inside.min(), inside.max())


def test_a_large_case_is_sampled_the_same_way_each_time(tmp_path):
    rng = np.random.default_rng(2)
    mask = np.ones((40, 40, 20), np.uint8)
    image = rng.normal(0, 1, mask.shape).astype(np.float32)
    dataset = _dataset(tmp_path, [mask], [image])

    first, again = take_fingerprint(dataset, workers=1), take_fingerprint(dataset, workers=2)

    assert first == again
    assert first.intensities[0].mean == pytest.approx(image.mean(), abs=0.05)
    assert first.intensities[0].maximum == image.max()


def test_the_nonzero_box_is_that_of_all_channels_together(tmp_path):
    image = np.zeros((10, 10, 10), np.float32)
    image[2:5, 3, 1:9] = 1
    mask = (image > 0).astype(np.uint8)

    (case,) = take_fingerprint(_dataset(tmp_path, [mask], [image])).cases

    assert case.box == (3, 1, 8)
    assert case.share == pytest.approx(24 / 1000)


def test_values_that_are_not_numbers_do_not_reach_the_figures(tmp_path):
    mask = _mask(v1=10)
    image = np.where(mask == 1, 3.0, 0.0).astype(np.float32)
    image.reshape(-1)[20] = np.nan

    (figures,) = take_fingerprint(_dataset(tmp_path, [mask], [image])).intensities

    assert figures.mean == 3.0


def test_a_fingerprint_survives_json(tmp_path):
    found = take_fingerprint(_dataset(tmp_path, [_mask(v1=4), _mask(v2=9)]))

    assert Fingerprint.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_test_cases_and_cases_without_a_mask_are_left_out(tmp_path):
    dataset = _dataset(tmp_path, [_mask(v1=4), _mask(v1=4), _mask(v1=4)])
    a, b, c = dataset.cases
    hidden = Case(id=b.id, images=b.images)
    test = Case(id=c.id, images=c.images, label=c.label, split="test")

    found = take_fingerprint(
        Dataset(root=tmp_path, layout="list", cases=(a, hidden, test), channels=("T1",))
    )

    assert [case.id for case in found.cases] == ["case_0"]
    assert found.channels == ("T1",)


def test_progress_sees_every_case(tmp_path):
    seen = []

    def progress(items, total, description):
        seen.append((total, description))
        for item in items:
            seen.append(item.facts.id)
            yield item

    take_fingerprint(_dataset(tmp_path, [_mask(v1=1), _mask(v1=1)]), progress=progress)

    assert seen == [(2, "Fingerprint"), "case_0", "case_1"]


def test_an_unreadable_case_is_named_with_the_doctor(tmp_path):
    dataset = _dataset(tmp_path, [_mask(v1=1), _mask(v1=1)])
    (tmp_path / "i1.nii.gz").write_bytes(b"not a scan")

    with pytest.raises(DataError, match=r"^case_1: ") as error:
        take_fingerprint(dataset)

    assert f"Fix: delineate doctor {tmp_path} lists every such case." in str(error.value)


def test_a_mask_on_another_grid_is_named(tmp_path):
    dataset = _dataset(tmp_path, [_mask(v1=1)], [np.ones((6, 7, 9), np.float32)])

    with pytest.raises(DataError, match=r"case_0: .*m0.nii.gz is 6x7x8 but .*i0.nii.gz is 6x7x9\."):
        take_fingerprint(dataset)


def test_an_undeclared_value_is_named(tmp_path):
    dataset = _dataset(tmp_path, [_mask(v1=1, v7=2)], labels=Labels.from_names({"a": 1}))

    with pytest.raises(
        DataError, match=r"case_0: the mask holds undeclared values \[7\]; declared are \[0, 1\]"
    ):
        take_fingerprint(dataset)


def test_data_without_any_mask_cannot_be_planned(tmp_path):
    dataset = Dataset(root=tmp_path, layout="folders", cases=(Case(id="a", images=("a.nii",)),))

    with pytest.raises(PlanError, match="none of the 1 cases has a mask to learn from"):
        take_fingerprint(dataset)


def test_data_whose_masks_are_all_empty_cannot_be_planned(tmp_path):
    with pytest.raises(PlanError, match="the masks of all 2 cases are empty"):
        take_fingerprint(_dataset(tmp_path, [_mask(), _mask()]))


def test_cases_with_different_numbers_of_axes_are_named(tmp_path):
    dataset = _dataset(tmp_path, [_mask(v1=3)])
    pixels = np.eye(8, dtype=np.uint8)
    from PIL import Image

    Image.fromarray(pixels * 200).save(tmp_path / "p.png")
    Image.fromarray(pixels).save(tmp_path / "q.png")
    picture = Case(id="p", images=(str(tmp_path / "p.png"),), label=str(tmp_path / "q.png"))
    mixed = Dataset(root=tmp_path, layout="list", cases=(*dataset.cases, picture))

    with pytest.raises(DataError, match="p: 2 spatial axes, but case_0 has 3"):
        take_fingerprint(mixed)


def test_pictures_have_two_axes_and_three_named_colours(tmp_path):
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 255, (16, 20, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "p.png")
    Image.fromarray(np.eye(16, 20, dtype=np.uint8) * 255).save(tmp_path / "q.png")
    case = Case(id="p", images=(str(tmp_path / "p.png"),), label=str(tmp_path / "q.png"))

    found = take_fingerprint(Dataset(root=tmp_path, layout="folders", cases=(case,)))

    assert found.dims == 2
    assert found.channels == ("red", "green", "blue")
    assert found.cases[0].shape == (16, 20)
    assert found.labels.names == ("label 255",)


def test_real_hippocampi_have_their_known_figures(real_data):
    from delineate.datasets import read_dataset

    found = take_fingerprint(read_dataset(real_data / "Task04_Hippocampus"))

    assert len(found.cases) == 208
    assert found.labels.names == ("Anterior", "Posterior")
    assert all(set(c.present) == {1, 2} for c in found.cases)
    assert tuple(np.median([c.shape for c in found.cases], axis=0)) == (35, 50, 36)


def test_planning_is_imported_without_torch():
    import subprocess

    code = "import sys, delineate.plan; print([m for m in ('torch', 'scipy') if m in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert told.stdout.strip() == "[]"
