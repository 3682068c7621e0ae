"""A cascade in one file: the same cascade, and every change to the file is refused by name."""

import hashlib
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from finished_runs import PATIENTS, finish, write_scans

from delineate.errors import ConfigError, DataError
from delineate.inference.cascade import Cascade
from delineate.inference.cascade_run import run_cascade
from delineate.inference.model import Model
from delineate.inference.predict import predict_volume
from delineate.io import read_volume
from delineate.package import Statement, package_runs
from delineate.package.predictor import card_of, package_cascade, read_cascade, read_predictor
from delineate.package.refusals import (
    NewerFormat,
    NotAPackage,
    PickleInside,
    TruncatedPackage,
    UnknownMember,
    UnsafePath,
    WrongChecksum,
)

YAML = """\
stages:
  - {name: where, model: coarse, does: focus, structure: cord, margin_mm: 2}
  - {name: what, model: fine.zip, does: segment}
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, a package, and the cascade of both."""
    root = tmp_path_factory.mktemp("study")
    scans = write_scans(root / "scans")
    finish(root / "coarse", scans, seed=1)
    package_runs([finish(root / "other", scans, seed=2)], root / "fine.zip")
    (root / "cascade.yaml").write_text(YAML)
    return root


@pytest.fixture(scope="module")
def packed(study: Path) -> Path:
    package_cascade(study / "cascade.yaml", study / "cascade.zip")
    return study / "cascade.zip"


def mask(cascade: Cascade, study: Path) -> np.ndarray:
    scan = read_volume(study / "scans" / f"{PATIENTS[0]}_0000.nii.gz")
    return run_cascade(cascade.to("cpu"), scan, predict_volume)[0].array


def test_the_packed_cascade_predicts_what_the_text_and_its_models_do(study: Path, packed: Path):
    cascade = read_cascade(study / "cascade.yaml")
    assert [stage.name for stage in cascade.stages] == ["where", "what"]
    expected = mask(cascade, study)
    assert expected.any()
    np.testing.assert_array_equal(mask(read_cascade(packed), study), expected)


def test_whatever_predicts_is_known_by_its_path(study: Path, packed: Path):
    kinds = {"coarse": Model, "fine.zip": Model, "cascade.yaml": Cascade, "cascade.zip": Cascade}
    for name, kind in kinds.items():
        assert isinstance(read_predictor(study / name), kind)
    assert card_of(study / "coarse") == card_of(study / "cascade.yaml") == ""
    assert card_of(study / "fine.zip").startswith("# Model")


def test_the_card_has_the_stages_and_the_cards_of_their_models(packed: Path):
    card = card_of(packed)
    assert card.startswith("# Cascade\n")
    assert "1. **where** (does: focus, structure: cord, margin_mm: 2.0" in card
    assert card.count("## Model\n") == 2
    assert "# Stage what\n" in card


def test_what_only_the_authors_can_say_of_a_cascade_stands_in_its_card(study: Path, tmp_path: Path):
    said = Statement(name="Cord, then lesions", licence="CC-BY-4.0", intended_use="Counting.")
    package_cascade(study / "cascade.yaml", tmp_path / "c.zip", statement=said)
    card = card_of(tmp_path / "c.zip")
    assert card.startswith(
        "# Cord, then lesions\n\n- licence: CC-BY-4.0\n- intended use: Counting.\n"
    )


def test_no_name_of_a_patient_or_a_folder_enters(study: Path, packed: Path):
    data = packed.read_bytes()
    for word in (*PATIENTS, str(study), "coarse", "fine.zip"):
        assert word.encode() not in data


def rewritten(packed: Path, tmp_path: Path, change) -> Path:
    """The package with its members changed, the manifest made to agree."""
    with zipfile.ZipFile(packed) as file:
        members = {name: file.read(name) for name in file.namelist()}
    del members["manifest.json"]
    change(members)
    listed = {
        name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in members.items()
    }
    members["manifest.json"] = json.dumps({"format": 1, "members": listed}).encode()
    path = tmp_path / "changed.zip"
    with zipfile.ZipFile(path, "w") as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def another_stage(members: dict[str, bytes], model: str) -> None:
    stages = json.loads(members["cascade.json"])
    stages["stages"][1]["model"] = model
    members["cascade.json"] = json.dumps(stages).encode()


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda m: m.update({"evil.pkl": b"x"}), PickleInside),
        (lambda m: m.update({"evil": b"x"}), UnknownMember),
        (lambda m: m.update({"../evil": b"x"}), UnsafePath),
        (lambda m: m.update({"stages/../../evil.zip": b"x"}), UnsafePath),
        (lambda m: m.pop("cascade.json"), NotAPackage),
        (lambda m: another_stage(m, "/etc/passwd"), NotAPackage),
        (lambda m: another_stage(m, "../scans"), NotAPackage),
        (lambda m: another_stage(m, "stages/7.zip"), NotAPackage),
        (lambda m: m.update({"stages/1.zip": b"\x80\x04pickle"}), PickleInside),
        (lambda m: m.update({"stages/1.zip": m["stages/1.zip"][:-40]}), TruncatedPackage),
        (lambda m: m.update({"cascade.json": b"{"}), ConfigError),
    ],
)
def test_a_package_that_was_tampered_with_is_refused(packed, tmp_path, change, kind):
    with pytest.raises(kind):
        read_cascade(rewritten(packed, tmp_path, change))


def test_a_changed_byte_a_lost_end_and_a_newer_format_are_told_apart(packed: Path, tmp_path: Path):
    data = packed.read_bytes()
    place = data.index(b'"stages"')
    path = tmp_path / "a.zip"
    path.write_bytes(data[:place] + b'"stager"' + data[place + 8 :])
    with pytest.raises(WrongChecksum):
        read_cascade(path)
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(TruncatedPackage):
        read_cascade(path)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("cascade.json", "{}")
        file.writestr("manifest.json", '{"format": 99, "members": {}}')
    with pytest.raises(NewerFormat, match="the package has format 99, written by"):
        read_cascade(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("cascade.json", bytes(10**6))
        file.writestr("manifest.json", "{}")
    with pytest.raises(UnknownMember, match="compressed"):
        read_cascade(path)


def test_a_missing_file_or_model_is_named(study: Path, tmp_path: Path):
    with pytest.raises(ConfigError, match=r"gone\.yaml: no such file\."):
        read_predictor(tmp_path / "gone.yaml")
    (tmp_path / "c.yaml").write_text(YAML)
    with pytest.raises(DataError, match="coarse"):
        read_cascade(tmp_path / "c.yaml")
