"""Each rule of the doctor on the smallest data that shows it, with its message."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from planted import Folder, write_folder

from delineate.datasets import Case, Dataset, read_dataset
from delineate.datasets import checkup as checkup_module
from delineate.datasets.doctor import examine
from delineate.datasets.findings import KINDS, Examination, Finding
from delineate.errors import MissingExtra
from delineate.labels import Class, Labels

RNG = np.random.default_rng(3)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return write_folder(tmp_path / "Task", cases=10)


def only(examination: Examination) -> Finding:
    assert len(examination.findings) == 1, examination.findings
    return examination.findings[0]


def save(path: Path, array: np.ndarray, affine: np.ndarray | None = None) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.nifti1.Nifti1Image(array, np.eye(4) if affine is None else affine), path)
    return str(path)


def noise(shape: tuple[int, ...] = (9, 8, 7)) -> np.ndarray:
    return RNG.normal(100, 20, shape).astype(np.float32)


def block(corner: int = 2, value: int = 1, shape: tuple[int, ...] = (9, 8, 7)) -> np.ndarray:
    mask = np.zeros(shape, np.uint8)
    mask[corner : corner + 3, 2:5, 1:5] = value
    return mask


def dataset(root: Path, *pairs: tuple[np.ndarray, np.ndarray | None], **facts: object) -> Dataset:
    """One case 'a', 'b' ... for each image and mask, with identity affines."""
    cases = []
    for name, (image, mask) in zip("abcdefghijklmnop", pairs, strict=False):
        label = None if mask is None else save(root / f"{name}_seg.nii.gz", mask)
        cases.append(Case(id=name, images=(save(root / f"{name}.nii.gz", image),), label=label))
    return Dataset(root=root, layout="table", cases=tuple(cases), **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("edit", "affine", "message"),
    [
        (
            lambda v: v[..., 1:],
            lambda a: a,
            "the label is 16x18x13 but the image is 16x18x14 (their spacing agrees).",
        ),
        (
            lambda v: v.transpose(1, 0, 2),
            lambda a: a,
            "the label is 18x16x14 but the image is 16x18x14 (their spacing agrees); "
            "it looks like the same grid with its axes in another order.",
        ),
        (
            lambda v: v,
            lambda a: a + np.array([[0, 0, 0, 0.5]] + [[0] * 4] * 2 + [[0] * 4]),
            "the label is shifted against the image by (0.5, 0, 0) mm, (0.5, 0, 0) voxels: "
            "its corners are up to 0.5 mm (0.5 voxels) from those of the image.",
        ),
        (
            lambda v: v,
            lambda a: a @ np.diag([1, 1, 2, 1]),
            "the label has voxels of 1x1.2x3 mm, the image of 1x1.2x1.5 mm: "
            "its corners are up to 19.5 mm (19.5 voxels) from those of the image.",
        ),
        (
            lambda v: v,
            lambda a: a @ np.diag([1, -1, 1, 1]),
            "the label has file axes LPS, the image LAS: its header flips axis 1 (A-P): "
            "its corners are up to 20.4 mm (20.4 voxels) from those of the image.",
        ),
    ],
)
def test_a_label_on_another_grid_is_told_what_sets_it_apart(
    folder: Folder, edit: Callable, affine: Callable, message: str
) -> None:
    folder.change(folder.label("case_03"), edit, affine)
    assert only(examine(read_dataset(folder.root))).message == message


def test_a_turned_label_is_told_by_how_much(folder: Folder) -> None:
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(0.1), -np.sin(0.1)], [np.sin(0.1), np.cos(0.1)]]
    folder.change(folder.label("case_03"), lambda v: v, lambda a: turn @ a)
    found = only(examine(read_dataset(folder.root)))
    assert found.kind == "grid-mismatch"
    assert found.message.startswith("the label is turned by 5.7 degrees against the image:")


@pytest.mark.parametrize(
    ("part", "kinds"),
    [(1e-4, []), (0.009, []), (0.05, ["grid-noise"]), (0.2, ["grid-mismatch"])],
)
def test_a_header_off_by_a_part_of_a_voxel_is_judged_by_its_size(
    folder: Folder, part: float, kinds: list[str]
) -> None:
    move = np.eye(4)
    move[0, 3] = part
    folder.change(folder.label("case_03"), lambda v: v, lambda a: move @ a)
    assert [f.kind for f in examine(read_dataset(folder.root)).findings] == kinds


def test_a_label_stored_with_other_axes_but_on_the_same_place_is_clean(folder: Folder) -> None:
    path = folder.label("case_03")
    turned = nib.nifti1.load(path).as_reoriented(np.array([[1, -1], [0, 1], [2, -1]]))
    path.unlink()
    nib.save(turned, path)
    assert examine(read_dataset(folder.root)).findings == ()


def test_messages_of_values_name_them_with_their_voxels(tmp_path: Path) -> None:
    mask = block()
    mask[0, 0, :2] = 7
    labels = Labels.from_names({"liver": 1})
    data = dataset(tmp_path, (noise(), mask), (noise(), block(4)), labels=labels)
    text = "the label holds 7 (2 voxels); declared are 0, 1."
    assert only(examine(data)).message == text


def test_float_labels_are_shown_with_examples(tmp_path: Path) -> None:
    data = dataset(tmp_path, (noise(), (block() * 0.8).astype(np.float32)), (noise(), block(4)))
    text = "the label has 36 voxels between integers (such as 0.8), up to 0.2 from one."
    assert only(examine(data)).message == text


def test_whole_numbers_stored_as_floats_are_clean(tmp_path: Path) -> None:
    data = dataset(tmp_path, (noise(), (block() + 1e-5).astype(np.float32)), (noise(), block(4)))
    assert examine(data).findings == ()


def test_nan_and_infinity_are_counted(tmp_path: Path) -> None:
    image = noise()
    image[0, 0, :3] = np.nan, np.inf, -np.inf
    found = only(examine(dataset(tmp_path, (image, block()), (noise(), block(4)))))
    assert found.message == "the image has 1 NaN and 2 infinite voxels of 504."


def test_an_image_of_nothing_but_nan_is_an_error_and_no_crash(tmp_path: Path) -> None:
    image = np.full((9, 8, 7), np.nan, np.float32)
    examination = examine(dataset(tmp_path, (image, block()), (noise(), block(4))))
    assert {f.kind for f in examination.findings} == {"not-finite", "constant-image"}


def test_a_channel_on_another_grid_and_one_that_is_repeated_are_found(tmp_path: Path) -> None:
    t1, cut, same = noise(), noise((9, 8, 6)), noise()
    paths = [save(tmp_path / f"{i}.nii.gz", v) for i, v in enumerate((t1, cut, same, same * 3))]
    mask = save(tmp_path / "mask.nii.gz", block())
    mask_b = save(tmp_path / "mask_b.nii.gz", block(4))
    cases = (
        Case(id="a", images=(paths[0], paths[1]), label=mask),
        Case(id="b", images=(paths[2], paths[3]), label=mask_b),
    )
    data = Dataset(root=tmp_path, layout="table", cases=cases, channels=("T1", "T2"))
    messages = {(f.kind, f.case): f.message for f in examine(data).findings}
    assert messages == {
        ("shape-mismatch", "a"): "the file of channel 1 is 9x8x6 but the image is 9x8x7 "
        "(their spacing agrees).",
        ("repeated-channel", "b"): "channels 0 and 1 are the same image.",
    }


def test_a_grey_picture_saved_in_colour_repeats_no_channel(tmp_path: Path) -> None:
    from PIL import Image

    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    for i in range(3):
        grey = RNG.integers(0, 255, (20, 20)).astype(np.uint8)
        Image.fromarray(grey).convert("RGB").save(tmp_path / "images" / f"{i}.png")
        Image.fromarray((grey > 100).astype(np.uint8)).save(tmp_path / "masks" / f"{i}.png")
    assert examine(read_dataset(tmp_path)).findings == ()


def test_one_channel_taken_from_another_case_is_found(tmp_path: Path) -> None:
    scans = [save(tmp_path / f"{i}.nii.gz", noise()) for i in range(3)]
    masks = [save(tmp_path / f"m{i}.nii.gz", block(i)) for i in range(2)]
    cases = tuple(
        Case(id=name, images=(scans[i], scans[2]), label=masks[i]) for i, name in enumerate("ab")
    )
    data = Dataset(root=tmp_path, layout="table", cases=cases, channels=("T1", "T2"))
    first = examine(data).findings[0]
    assert first.message == (
        "its image is the same as that of b in channel 1, but its label is not."
    )


def test_lesions_painted_into_one_template_are_not_copies(tmp_path: Path) -> None:
    template = noise((24, 24, 24))
    pairs = []
    for i in range(6):
        mask = np.zeros(template.shape, np.uint8)
        mask[2 * i : 2 * i + 3, 5:8, 4:7] = 1
        pairs.append((template - 30 * mask, mask))
    assert examine(dataset(tmp_path, *pairs)).findings == ()


def test_three_copies_are_one_group(tmp_path: Path) -> None:
    image = noise()
    pairs = [(image * (i + 1), block(i)) for i in range(3)]
    findings = examine(dataset(tmp_path, *pairs)).findings
    assert [(f.kind, f.case, f.others) for f in findings] == [
        ("duplicate-image", "a", ("b", "c")),
        ("duplicate-image", "b", ("a", "c")),
        ("duplicate-image", "c", ("a", "b")),
    ]


def test_one_mask_under_two_values_is_still_a_copy(tmp_path: Path) -> None:
    data = dataset(tmp_path, (noise(), block(value=1)), (noise(), block(value=2)))
    assert {(f.kind, f.case) for f in examine(data).findings} == {
        ("copied-label", "a"),
        ("copied-label", "b"),
    }


def test_a_patient_on_both_sides_of_a_split_is_found_in_the_held_out_case(
    folder: Folder,
) -> None:
    data = read_dataset(folder.root)
    splits = ["train"] * 6 + ["validation", "validation", "test", "test"]
    groups = [f"p{i}" for i in range(10)]
    groups[7] = groups[0]
    cases = tuple(
        replace(case, split=split, group=group)
        for case, split, group in zip(data.cases, splits, groups, strict=True)
    )
    found = only(examine(replace(data, cases=cases)))
    assert (found.kind, found.case) == ("split-leak", "case_07")
    assert found.message == (
        "it is held out for validation, but patient 'p0' is elsewhere too: case_00."
    )


def test_the_same_image_on_both_sides_of_a_split_is_a_leak(tmp_path: Path) -> None:
    image = noise()
    data = dataset(tmp_path, (image, block(1)), (image, block(3)), (noise(), block(4)))
    cases = [
        replace(c, split=s) for c, s in zip(data.cases, ("test", "train", "train"), strict=True)
    ]
    kinds = {(f.kind, f.case) for f in examine(replace(data, cases=tuple(cases))).findings}
    assert kinds == {("duplicate-image", "a"), ("duplicate-image", "b"), ("split-leak", "a")}


def test_a_group_that_a_regex_finds_is_what_leaks(folder: Folder) -> None:
    data = read_dataset(folder.root, group=r"case_(\d)")
    cases = [replace(c, split="test" if i > 8 else "train") for i, c in enumerate(data.cases)]
    assert only(examine(replace(data, cases=tuple(cases)))).kind == "split-leak"


def test_a_running_number_in_each_splits_folder_is_no_patient(tmp_path: Path) -> None:
    from PIL import Image

    for split in ("train", "test"):
        for part in ("images", "masks"):
            (tmp_path / split / part).mkdir(parents=True)
        for i in range(2):
            grey = RNG.integers(0, 255, (20, 20)).astype(np.uint8)
            Image.fromarray(grey).save(tmp_path / split / "images" / f"{i}.png")
            mask = Image.fromarray((grey > 100).astype(np.uint8))
            mask.save(tmp_path / split / "masks" / f"{i}.png")
    assert examine(read_dataset(tmp_path)).findings == ()


def test_the_contrasts_of_one_patient_may_share_a_mask(tmp_path: Path) -> None:
    data = dataset(tmp_path, (noise(), block()), (noise(), block()))
    cases = tuple(replace(c, group="sub-1") for c in data.cases)
    assert examine(replace(data, cases=cases)).findings == ()


def test_two_cases_of_one_id_are_found(folder: Folder) -> None:
    data = read_dataset(folder.root)
    cases = (*data.cases[:-1], replace(data.cases[-1], id="CASE_00"))
    examination = examine(replace(data, cases=cases))
    assert [(f.kind, f.case) for f in examination.findings] == [
        ("duplicate-id", "CASE_00"),
        ("duplicate-id", "case_00"),
    ]


def test_labels_that_are_all_empty_are_an_error(tmp_path: Path) -> None:
    examination = examine(dataset(tmp_path, *[(noise(), 0 * block())] * 2))
    assert [f.kind for f in examination.errors if f.case is None] == ["no-foreground"]


def test_an_empty_label_is_no_finding_where_the_data_set_says_so(tmp_path: Path) -> None:
    labels = Labels.from_names({"lesion": 1})
    data = dataset(tmp_path, (noise(), 0 * block()), (noise(), block()), labels=labels)
    cases = tuple(replace(c, presence=(i,)) for i, c in enumerate(data.cases))
    assert examine(replace(data, cases=cases)).findings == ()
    wrong = tuple(replace(c, presence=(1,)) for c in data.cases)
    found = only(examine(replace(data, cases=wrong)))
    assert found.message == "lesion is declared present but the mask has 0 voxels of it."


def test_an_ignored_value_is_declared_but_no_foreground(tmp_path: Path) -> None:
    labels = Labels.from_names({"lesion": 1}, ignore=9)
    data = dataset(tmp_path, (noise(), block(value=9)), (noise(), block()), labels=labels)
    assert {f.kind for f in examine(data).findings} == {"empty-label", "copied-label"}


def test_a_declared_class_that_never_occurs_is_a_warning(tmp_path: Path) -> None:
    labels = Labels.from_names({"liver": 1, "tumour": 2})
    data = dataset(tmp_path, (noise(), block()), (noise(), block(4)), labels=labels)
    found = only(examine(data))
    assert (found.severity, found.case, found.message) == (
        "warning",
        None,
        "tumour (2) occurs in no label.",
    )


def test_where_nothing_is_declared_255_among_ones_is_found(tmp_path: Path) -> None:
    pairs = [(noise(), block(i, 255 if i == 2 else 1)) for i in range(5)]
    found = only(examine(dataset(tmp_path, *pairs)))
    assert (found.kind, found.case) == ("mixed-values", "c")
    assert found.message == "it marks with 255, the others with 1."


def test_where_nothing_is_declared_a_value_of_one_case_only_is_a_warning(tmp_path: Path) -> None:
    pairs = [(noise((9, 9, 9)), block(i % 5, shape=(9, 9, 9))) for i in range(9)]
    for i, (_, mask) in enumerate(pairs):
        mask[8, 8, i] = 1
    pairs[4][1][0, 0, 0] = 5
    assert only(examine(dataset(tmp_path, *pairs))).message == "only its label holds 5."


def test_overlapping_masks_are_counted_by_channel_and_must_match_the_classes(
    tmp_path: Path,
) -> None:
    classes = (Class(name="whole", id=1), Class(name="core", id=2))
    labels = Labels(classes=classes, overlapping=True)
    good = np.stack([block(1), block(2)], axis=-1)
    bad = np.stack([block(3)] * 3, axis=-1)
    data = dataset(tmp_path, (noise(), good), (noise(), bad), labels=labels)
    examination = examine(data)
    assert examination.cases[0].labels == {1: 36, 2: 36}
    assert only(examination).message == (
        "the label has 3 channels; declared: 2 overlapping classes."
    )


def test_two_classes_the_other_way_round_are_a_warning(tmp_path: Path) -> None:
    pairs = []
    for i in range(12):
        mask = np.zeros((20, 9, 8), np.uint8)
        mask[2 + i % 3 : 6, 3:6, 2:5] = 1
        mask[13 : 16 + i % 4, 2 : 6 + i % 2, 2:5] = 2
        pairs.append((noise(mask.shape), mask[::-1].copy() if i == 7 else mask))
    labels = Labels.from_names({"hip_left": 1, "hip_right": 2})
    data = dataset(tmp_path, *pairs, labels=labels)
    mirrored = [f for f in examine(data).findings if f.kind == "mirrored-label"]
    assert [f.case for f in mirrored] == ["h"]


def test_an_inverted_mask_is_a_warning(tmp_path: Path) -> None:
    pairs = [(noise(), block(i)) for i in range(4)]
    pairs[2] = (pairs[2][0], 1 - pairs[2][1])
    found = only(examine(dataset(tmp_path, *pairs)))
    assert (found.kind, found.case) == ("odd-volume", "c")
    assert found.message == "its mask covers 93%, the median 7.1%."


def test_pictures_blurred_by_a_lossy_format_are_found(tmp_path: Path) -> None:
    from PIL import Image

    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    for i in range(3):
        picture = RNG.integers(0, 255, (40, 40)).astype(np.uint8)
        mask = np.zeros((40, 40), np.uint8)
        mask[5 + i : 20, 10:30] = 255
        Image.fromarray(picture).save(tmp_path / "images" / f"{i}.png")
        suffix = ".jpg" if i == 1 else ".png"
        Image.fromarray(mask).rotate(20).save(tmp_path / "masks" / f"{i}{suffix}", quality=60)
    found = only(examine(read_dataset(tmp_path)))
    assert (found.kind, found.case) == ("blurred-mask", "1")


def test_a_failure_of_the_examination_itself_names_the_case(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = checkup_module.read_mask

    def fail(path: str) -> object:
        if "case_04" in path:
            raise IndexError("list index out of range")
        return read(path)

    monkeypatch.setattr(checkup_module, "read_mask", fail)
    found = only(examine(read_dataset(folder.root)))
    assert (found.kind, found.case) == ("unexpected", "case_04")
    assert found.message == "case_04: IndexError: list index out of range"


def test_a_missing_package_is_said_once_and_not_for_every_case(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: str) -> object:
        raise MissingExtra("pydicom", "dicom")

    monkeypatch.setattr(checkup_module, "read_volume", fail)
    with pytest.raises(MissingExtra, match=r'pip install "delineate\[dicom\]"'):
        examine(read_dataset(folder.root))


def test_stray_files_are_named(tmp_path: Path) -> None:
    data = dataset(tmp_path, (noise(), block()), (noise(), block(4)))
    stray = save(tmp_path / "c_seg.nii.gz", block(3))
    orphans = (stray, save(tmp_path / "a_0001.nii.gz", noise()))
    kinds = {(f.kind, f.case) for f in examine(replace(data, orphans=orphans)).findings}
    assert kinds == {("missing-image", "c"), ("unlisted-file", "a")}


def test_a_test_image_needs_no_label_but_a_training_image_does(tmp_path: Path) -> None:
    data = dataset(tmp_path, (noise(), block()), (noise(), None), (noise(), None))
    cases = (*data.cases[:2], replace(data.cases[2], split="test"))
    found = only(examine(replace(data, cases=cases)))
    assert (found.kind, found.case, found.message) == (
        "missing-label",
        "b",
        "b.nii.gz has no label.",
    )


def test_a_data_set_without_any_label_or_case_is_one_error(tmp_path: Path) -> None:
    data = dataset(tmp_path, (noise(), None), (noise(), None))
    assert only(examine(data)).kind == "no-labels"
    assert only(examine(replace(data, cases=()))).kind == "no-cases"


def test_the_result_does_not_depend_on_the_number_of_workers(folder: Folder) -> None:
    folder.change(folder.label("case_03"), lambda v: v * 2)
    data = read_dataset(folder.root)
    assert examine(data, workers=1).to_json() == examine(data, workers=4).to_json()


def test_progress_is_told_how_many_cases_there_are(folder: Folder) -> None:
    seen = []

    def bar(items, total, description):
        seen.append((total, description))
        return items

    examine(read_dataset(folder.root), progress=bar)
    assert seen == [(10, "examining")]


def test_the_json_holds_facts_findings_and_a_summary(folder: Folder) -> None:
    folder.change(folder.label("case_00"), lambda v: v * 0)
    data = json.loads(json.dumps(examine(read_dataset(folder.root)).to_json()))
    assert list(data) == ["layout", "root", "cases", "findings", "summary"]
    assert data["findings"] == [
        {
            "severity": "warning",
            "kind": "empty-label",
            "case": "case_00",
            "message": "the label has no foreground.",
            "fix": KINDS["empty-label"].fix,
        }
    ]
    assert data["summary"] == {
        "cases": 10,
        "labelled": 10,
        "errors": 0,
        "warnings": 1,
        "kinds": {"empty-label": 1},
    }
    mask = np.asanyarray(nib.nifti1.load(folder.label("case_01")).dataobj)
    one = data["cases"][1]
    assert one["labels"] == {"1": int((mask == 1).sum()), "2": int((mask == 2).sum())}
    assert one["volume_ml"] == pytest.approx(int((mask > 0).sum()) * 1.8 / 1000)
    assert (one["orientation"], one["spacing"]) == ("LAS", [1.0, 1.2, 1.5])


def test_every_kind_that_the_code_names_stands_in_the_table() -> None:
    import re

    source = "".join(
        path.read_text()
        for path in Path(checkup_module.__file__).parent.glob("*.py")
        if path.name
        in ("checkup.py", "marks.py", "copies.py", "cohort.py", "odd_labels.py", "alignment.py")
    )
    named = set(re.findall(r'finding\(\s*"([a-z-]+)"', source)) | set(
        re.findall(r'"(grid-[a-z]+|shape-mismatch)"', source)
    )
    assert named == set(KINDS)
