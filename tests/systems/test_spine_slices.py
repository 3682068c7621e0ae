"""Which slices there are: layouts, tables, patients, phases, thinning out."""

import logging
import os
from collections import Counter
from pathlib import Path

import pytest
from spine_slices import classed, data, masked, noise, picture

from delineate.errors import ConfigError, DataError
from delineate.systems.spine.slices.rows import Slice
from delineate.systems.spine.slices.table import Table, find_table


def found(root: Path, *args, **how) -> Table:
    return find_table(data(*args, **how), root, seed=1)


def test_folders_of_phases_and_classes_are_read(tmp_path: Path):
    classed(tmp_path / "a", {"train": 2, "val": 1, "Testing": 1}, ["t2", "t1"])
    table = found(tmp_path, "file")
    assert table.task == "classification"
    assert table.classes == ("t1", "t2")
    assert Counter((s.phase, s.label) for s in table.slices) == {
        ("train", "t1"): 2, ("train", "t2"): 2, ("val", "t1"): 1, ("val", "t2"): 1,
        ("test", "t1"): 1, ("test", "t2"): 1,
    }  # fmt: skip
    assert all(s.dataset == "a" and Path(s.input_path).is_file() for s in table.slices)


def test_a_class_may_be_several_folders_deep(tmp_path: Path):
    picture(tmp_path / "a/train/MR/spine/normal/1.png", noise(1))
    picture(tmp_path / "a/val/CT/lung/mass/1.png", noise(2))
    assert found(tmp_path, "file", params={"class_levels": 3}).classes == (
        "CT/lung/mass",
        "MR/spine/normal",
    )
    assert found(tmp_path, "file").classes == ("CT", "MR")


def test_numbers_for_classes_are_sorted_as_numbers_and_appearance_is_kept_if_asked(tmp_path: Path):
    for name in ("10", "9", "2"):
        picture(tmp_path / "a/train" / name / "1.png", noise(1))
    assert found(tmp_path, "file").classes == ("2", "9", "10")
    for name in ("b", "a"):
        picture(tmp_path / "b/train" / name / f"{name}.png", noise(1))
    first = data("file", [{"name": "label_encoding", "params": {"ordered": False}}])
    second = {"path": "b", "crawler": {"name": "file"}}
    both = data("file").model_validate(
        {**first.model_dump(), "dataset": {"z": second, **first.model_dump()["dataset"]}}
    )
    # Files are listed in the order of their names, sources in that of the YAML file.
    assert find_table(both, tmp_path, seed=1).classes == ("a", "b", "2", "9", "10")


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("train/images/x.png", "train/masks/x.png"),
        ("images/train/x.png", "masks/train/x.png"),
        ("train/img/x.png", "train/labels/x.png"),
        ("train/x.png", "train/lesion_masks/x.png"),
        ("training/p7/images/x.jpg", "training/p7/masks/x.png"),
        ("train/x.png", "train/x_mask.png"),
        ("Train/images/p7/x.tif", "Train/masks/p7/x_seg.png"),
    ],
)
def test_masks_are_found_in_every_documented_layout(tmp_path: Path, image: str, mask: str):
    path = picture(tmp_path / "a" / image, noise(1))
    drawn = picture(tmp_path / "a" / mask, noise(1))
    (item,) = found(tmp_path, "segmentation_file").slices
    assert (item.input_path, item.label, item.phase) == (str(path), str(drawn), "train")


def test_the_word_lesion_in_an_image_makes_no_mask_of_it_where_folders_tell(tmp_path: Path):
    for role in ("images", "masks"):
        picture(tmp_path / "a/train" / role / "p1_lesion.png", noise(1))
    (item,) = found(tmp_path, "segmentation_file").slices
    assert "images" in item.input_path
    assert "masks" in str(item.label)


def test_an_image_without_a_mask_is_refused_empty_or_left_out(tmp_path: Path):
    masked(tmp_path / "a", {"train": 2})
    picture(tmp_path / "a/train/images/bare.png", noise(9))
    with pytest.raises(DataError, match=r"1 of 3 images have no mask: train/images/bare\.png\."):
        found(tmp_path, "segmentation_file")
    empty = found(tmp_path, "segmentation_file", params={"missing_mask": "empty"})
    assert [s.label is None for s in empty.slices if "bare" in s.id] == [True]
    skipped = found(tmp_path, "segmentation_file", params={"missing_mask": "skip"})
    assert len(skipped.slices) == 2


def test_folders_of_images_and_masks_may_be_named(tmp_path: Path):
    for role in ("t2", "cord", "lesion"):
        picture(tmp_path / "a/train" / role / "x.png", noise(1))
    params = {"images": "t2", "masks": "lesion", "missing_mask": "skip"}
    table = found(tmp_path, "segmentation_file", params=params)
    assert [Path(s.label or "").parent.name for s in table.slices] == ["lesion"]


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_a_table_says_path_label_phase_and_patient(tmp_path: Path, mark: str):
    rows = [["Image", "class", "split", "patient_id"], ["x/1.png", "t1", "train", "p1"]]
    rows += [["x\\2.png", "t2", "validation", "p2"]]
    for number in (1, 2):
        picture(tmp_path / f"a/x/{number}.png", noise(number))
    (tmp_path / "a/list.csv").write_text("\n".join(mark.join(row) for row in rows))
    table = found(tmp_path, "csv")
    assert [(s.label, s.phase, s.group) for s in table.slices] == [
        ("t1", "train", "p1"),
        ("t2", "val", "p2"),
    ]
    assert found(tmp_path, "csv", path="a/list.csv").slices == table.slices


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("image,label\nx.png,\n", "have no label"),
        ("image,kind\nx.png,a\n", r"no column for the label .*It has: image, kind"),
        ("image,label\ny.png,a\n", r"list\.csv:2: .*y\.png does not exist"),
        ("image,label,split\nx.png,a,dev\n", r"list\.csv:2: 'dev' is no phase"),
    ],
)
def test_a_table_that_says_too_little_is_refused(tmp_path: Path, text: str, said: str):
    for name in ("x", "z"):
        picture(tmp_path / f"a/{name}.png", noise(1))
    (tmp_path / "a/list.csv").write_text(text + text.splitlines()[-1].replace("x.png", "z.png"))
    with pytest.raises(DataError, match=said):
        found(tmp_path, "csv")


@pytest.mark.parametrize("name", ["sub-03_{}.png", "patient_3/{}.png", "x_Subject3_{}.png"])
def test_a_patient_in_two_phases_is_refused_by_name(tmp_path: Path, name: str):
    for phase in ("train", "val"):
        picture(tmp_path / "a" / phase / "t1" / name.format(phase), noise(1))
    with pytest.raises(DataError, match=r"patient \S*3\S* has slices in train .* and in val"):
        found(tmp_path, "file")
    both = found(tmp_path, "file", params={"allow_shared_patients": True})
    assert {s.phase for s in both.slices} == {"train", "val"}


def test_who_a_patient_is_can_be_said(tmp_path: Path):
    for phase in ("train", "val"):
        picture(tmp_path / "a" / phase / "t1" / f"17-{phase}.png", noise(1))
    assert len(found(tmp_path, "file").slices) == 2
    with pytest.raises(DataError, match="patient 17 has slices"):
        found(tmp_path, "file", params={"group": r"/(\d+)-"})
    with pytest.raises(DataError, match=r"group 'z\(\.\)' finds no patient in"):
        found(tmp_path, "file", params={"group": "z(.)"})
    with pytest.raises(ConfigError, match="group: '\\(' is no regular expression"):
        found(tmp_path, "file", params={"group": "("})


def test_without_phases_patients_are_dealt_by_the_seed_and_every_class_to_each(tmp_path: Path):
    for patient in range(20):
        for number in range(2):
            name = f"{'ab'[patient % 2]}/sub-{patient:02}_{number}.png"
            picture(tmp_path / "a" / name, noise(patient))
    table = found(tmp_path, "file")
    phases = {(s.group, s.phase) for s in table.slices}
    assert len(phases) == 20
    assert Counter(p for _, p in phases) == {"train": 14, "val": 4, "test": 2}
    assert Counter(s.label for s in table.slices if s.phase == "val") == {"a": 4, "b": 4}
    assert found(tmp_path, "file") == table
    other = find_table(data("file"), tmp_path, seed=2)
    assert {(s.group, s.phase) for s in other.slices} != phases
    even = found(tmp_path, "file", params={"split": {"train": 1, "val": 1}})
    assert Counter(s.phase for s in even.slices) == {"train": 20, "val": 20}


def test_a_layout_without_validation_has_some_of_its_training_patients(tmp_path: Path, caplog):
    classed(tmp_path / "a", {"train": 10, "test": 2}, ["t1"])
    with caplog.at_level(logging.WARNING, "delineate"):
        table = found(tmp_path, "file")
    assert Counter(s.phase for s in table.slices) == {"train": 8, "val": 2, "test": 2}
    assert "has no phase val; 2 of its 10 training patients validate instead" in caplog.text


def test_slices_in_no_phase_beside_others_are_refused(tmp_path: Path):
    classed(tmp_path / "a", {"train": 1, "other": 1}, ["t1"])
    with pytest.raises(DataError, match="1 of 2 slices are in no phase, such as other/t1/s2"):
        found(tmp_path, "file")


def test_one_patient_alone_is_refused(tmp_path: Path):
    for number in range(3):
        picture(tmp_path / f"a/t1/sub-1_{number}.png", noise(number))
    with pytest.raises(DataError, match="all slices are of patient sub-1"):
        found(tmp_path, "file")


def test_a_file_that_two_sources_put_into_different_phases_is_refused(tmp_path: Path):
    picture(tmp_path / "a/x.png", noise(1))
    for name, phase in (("one", "train"), ("two", "val")):
        (tmp_path / f"a/{name}.csv").write_text(f"image,label,split\nx.png,c,{phase}\n")
    sources = {
        name: {"path": "a", "crawler": {"name": "csv", "params": {"file": f"{name}.csv"}}}
        for name in ("one", "two")
    }
    both = data("csv").model_validate({"dataset": sources})
    with pytest.raises(DataError, match="is in phase train of one and in phase val of two"):
        find_table(both, tmp_path, seed=0)


def test_a_sample_keeps_its_share_of_each_phase_and_all_classes(tmp_path: Path):
    classed(tmp_path / "a", {"train": 10, "val": 5}, ["t1", "t2"])
    thin = {"name": "simple_sampling", "params": {"n": 0.1, "target": "phase", "shuffle": True}}
    table = found(tmp_path, "file", pipeline=[{"name": "shuffle", "params": {}}, thin])
    assert Counter(s.phase for s in table.slices) == {"train": 2, "val": 1}
    assert table.classes == ("t1", "t2")
    again = found(tmp_path, "file", pipeline=[{"name": "shuffle", "params": {}}, thin])
    assert again == table
    first = {"name": "simple_sampling", "params": {"n": 3, "shuffle": False}}
    whole = found(tmp_path, "file")
    assert found(tmp_path, "file", pipeline=[first]).slices == whole.slices[:3]


def test_shuffling_keeps_all_slices_in_another_order(tmp_path: Path):
    classed(tmp_path / "a", {"train": 20}, ["t1"])
    plain, drawn = (found(tmp_path, "file", pipeline=p).slices for p in ([], ["shuffle"]))
    assert set(plain) == set(drawn)
    assert plain != drawn


@pytest.mark.parametrize(
    ("how", "error", "said"),
    [
        ({"crawler": "files"}, ConfigError, r"crawler: 'files' is unknown\. Did you mean 'file'"),
        ({"driver": "pilow"}, ConfigError, r"driver: 'pilow' .*dicom, nifti, pillow and torch"),
        ({"driver": "nifti"}, DataError, r"the driver 'nifti' finds no file .* others, such as"),
        ({"pipeline": ["shuffel"]}, ConfigError, r"pipeline: 'shuffel' is unknown\. Did you mean"),
        ({"params": {"grp": "x"}}, ConfigError, r"unknown argument 'grp'"),
        ({"path": "b"}, DataError, r"b: no such file"),
        ({"params": {"split": {"dev": 1}}}, ConfigError, r"no shares of train, val and test"),
    ],
)
def test_what_is_wrong_is_said_with_what_exists(tmp_path: Path, how: dict, error: type, said: str):
    classed(tmp_path / "a", {"train": 1, "val": 1}, ["t1"])
    asked = {"crawler": "file", **how}
    with pytest.raises(error, match=said):
        found(tmp_path, asked.pop("crawler"), **asked)


def test_a_path_written_on_windows_is_found(tmp_path: Path):
    classed(tmp_path / "a/b", {"train": 2}, ["t1"])
    if os.name != "nt":
        assert len(found(tmp_path, "file", path="a\\b").slices) == 2


def test_masks_and_classes_do_not_mix(tmp_path: Path):
    masked(tmp_path / "a", {"train": 1, "val": 1})
    classed(tmp_path / "b", {"train": 1, "val": 1}, ["t1"])
    kinds = {"a": "segmentation_file", "b": "file"}
    sources = {name: {"path": name, "crawler": kind} for name, kind in kinds.items()}
    with pytest.raises(DataError, match=r"has a mask, but b/train/t1/s1 has the class 't1'"):
        find_table(data("file").model_validate({"dataset": sources}), tmp_path, seed=0)


def test_a_slice_says_what_it_is(tmp_path: Path):
    masked(tmp_path / "a", {"train": 1, "val": 1})
    (item, _) = found(tmp_path, "segmentation_file").slices
    image = str(tmp_path / "a/train/images/s1.png")
    assert item == Slice(
        id="a/train/images/s1",
        input_path=image,
        label=image.replace("images", "masks"),
        phase="train",
        dataset="a",
        group="train/images/s1.png",
    )
