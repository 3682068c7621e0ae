"""A model written into one file and read back: the same model, and nothing of anybody's."""

import getpass
import hashlib
import json
import pickle
import platform
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from finished_runs import PATIENTS, PLAN, changed, finish, scores, write_scans

from delineate.config import Part
from delineate.errors import DataError
from delineate.inference.choose_steps import write_postprocessing
from delineate.inference.model import Model
from delineate.inference.postprocess import KeepLargest
from delineate.package import (
    NotAPackage,
    PickleInside,
    PrivateText,
    Statement,
    UntrustedNetwork,
    find_runs,
    model_of,
    open_model,
    package_runs,
    read_card,
    read_package,
    write_package,
)
from delineate.package.archive import MANIFEST
from delineate.plan import Normalisation

IMAGE = torch.randn(2, 1, 16, 16, 16, generator=torch.Generator().manual_seed(1))


def show(items, total, description):
    return items


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scans(tmp_path_factory.mktemp("hospital") / "Doe-Memorial-Study" / "scans")


@pytest.fixture(scope="module")
def folds(tmp_path_factory: pytest.TempPathFactory, scans: Path) -> Path:
    """A cross-validation of two folds."""
    folder = tmp_path_factory.mktemp("runs") / "crossed"
    finish(folder / "fold_0", scans, seed=1, held_out=(0, 1))
    finish(folder / "fold_1", scans, seed=2, held_out=(2, 3))
    return folder


@pytest.fixture(scope="module")
def packed(folds: Path) -> Path:
    path = folds.parent / "model.zip"
    package_runs([folds], path, progress=show)
    return path


def predict(model: Model) -> list[torch.Tensor]:
    with torch.no_grad():
        return [network(IMAGE).logits for network in model.networks]


def test_a_package_predicts_bit_for_bit_what_the_runs_predict(folds: Path, packed: Path):
    model, own = read_package(packed), model_of([folds])
    assert model.plan == own.plan
    assert not any(network.training for network in model.networks)
    assert len(model.networks) == 2
    for a, b in zip(predict(model), predict(own), strict=True):
        assert torch.equal(a, b)


def test_overlap_flips_steps_and_combination_come_back(folds: Path, tmp_path: Path):
    steps = (KeepLargest(label="cord"),)
    made = Model(
        networks=model_of([folds / "fold_0"]).networks,
        plan=PLAN,
        overlap=0.25,
        flips=(0, 2),
        combine="vote",
        steps=steps,
    )
    write_package(tmp_path / "m.zip", made, (Part(name="UNet"),), card="# Card\n")
    model = read_package(tmp_path / "m.zip")
    assert (model.overlap, model.flips, model.combine) == (0.25, (0, 2), "vote")
    assert (model.steps, model.domain) == (steps, None)
    assert read_card(tmp_path / "m.zip") == "# Card\n"


def test_the_same_run_gives_the_same_bytes(folds: Path, packed: Path, tmp_path: Path):
    package_runs([folds], tmp_path / "other name.zip", progress=show)
    assert (tmp_path / "other name.zip").read_bytes() == packed.read_bytes()


def test_no_name_of_a_patient_a_person_a_host_or_a_folder_enters(packed: Path, scans: Path):
    data = packed.read_bytes().lower()
    words = [*PATIENTS, "Doe_J", "Roe_M", "Poe_E", "Hospital", "Memorial", "crossed", "fold_"]
    words += [str(scans), str(packed.parent), str(Path.home()), getpass.getuser(), platform.node()]
    found = [word for word in words if len(word) > 3 and word.lower().encode() in data]
    assert not found
    # The card tells how to predict a SCAN.nii.gz of the reader's own; no other file is named.
    assert data.count(b".nii") == 2


def test_a_class_named_after_a_patient_is_refused_and_nothing_is_written(
    scans: Path, tmp_path: Path
):
    labels = type(PLAN.labels).from_names({"lesion of Doe_Jane_017": 1})
    run = finish(tmp_path / "run", scans, plan=changed(labels=labels))
    with pytest.raises(PrivateText, match=r"line \d+ of .* would hold 'Doe_Jane_017'"):
        package_runs([run], tmp_path / "m.zip")
    assert not (tmp_path / "m.zip").exists()


def test_a_path_among_the_networks_arguments_is_refused(
    scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    lab(tmp_path, monkeypatch)
    part = Part(name="some_lab.nets.Tiny", start=str(scans / "start.bin"))
    run = finish(tmp_path / "run", scans, model=part)
    with pytest.raises(PrivateText, match=r"networks\.json"):
        package_runs([run], tmp_path / "m.zip", trust=("some_lab",))


def test_the_domain_comes_from_the_training_scans_and_warns(packed: Path):
    model = read_package(packed)
    assert model.domain is not None
    assert model.domain.cases == 4
    assert str(model.domain.spacing[0]) == "1"


def test_without_the_scans_the_package_has_no_domain_and_its_card_says_so(
    scans: Path, tmp_path: Path
):
    run = finish(tmp_path / "run", scans)
    package_runs([run], tmp_path / "m.zip")
    assert read_package(tmp_path / "m.zip").domain is None
    assert "nothing warns of a scan unlike them" in read_card(tmp_path / "m.zip")


def test_steps_beside_a_run_are_packed(scans: Path, tmp_path: Path):
    run = finish(tmp_path / "run", scans)
    steps = (KeepLargest(label="lesion"),)
    write_postprocessing(run / "postprocessing.json", steps, ["it helps"])
    assert package_runs([run], tmp_path / "m.zip").steps == steps


def test_runs_whose_plans_differ_cannot_be_one_model(scans: Path, tmp_path: Path):
    first = finish(tmp_path / "a", scans)
    second = finish(tmp_path / "b", scans, plan=changed(spacing=(2.0, 1.0, 1.0)))
    with pytest.raises(DataError, match=r"its spacing is not that of .*plan\.file="):
        model_of([first, second])


def test_networks_of_two_kinds_on_one_plan_are_one_model(scans: Path, tmp_path: Path):
    first = finish(tmp_path / "a", scans)
    second = finish(tmp_path / "b", scans, model=Part(name="SegResNet"))
    model = package_runs([first, second], tmp_path / "m.zip")
    assert [type(network).__name__ for network in model.networks] == ["UNet", "SegResNet"]


def test_defaults_are_written_out_so_that_a_later_version_may_change_them(packed: Path):
    with zipfile.ZipFile(packed) as file:
        entries = json.loads(file.read("networks.json"))
    assert entries[0] == {
        "name": "UNet",
        "arguments": {"deep_supervision": False, "checkpointing": False},
        "weights": "weights/0.safetensors",
    }


def test_a_folder_or_a_package_opens_as_the_same_model(folds: Path, packed: Path):
    for a, b in zip(predict(open_model(folds)), predict(open_model(packed)), strict=True):
        assert torch.equal(a, b)
    assert [run.path.name for run in find_runs([folds])] == ["fold_0", "fold_1"]


def lab(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody's own package with a network, and with os in its name space."""
    home = folder / "site" / "some_lab"
    home.mkdir(parents=True)
    (home / "__init__.py").touch()
    (home / "nets.py").write_text(
        "import os\nfrom torch import nn\n\n"
        "class Tiny(nn.Conv3d):\n"
        "    def __init__(self, in_channels, out_channels, start=''):\n"
        "        super().__init__(in_channels, out_channels, 3, padding=1)\n"
    )
    monkeypatch.syspath_prepend(str(home.parent))
    for name in [name for name in sys.modules if name.startswith("some_lab")]:
        monkeypatch.delitem(sys.modules, name)


def test_somebodys_own_network_is_run_only_for_those_who_trust_it(
    scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    lab(tmp_path, monkeypatch)
    run, path = finish(tmp_path / "run", scans, model=Part(name="some_lab.nets.Tiny")), tmp_path
    message = r"code that is not part of delineate.*--trust some_lab\.nets"
    with pytest.raises(UntrustedNetwork, match=message):
        package_runs([run], path / "m.zip")
    package_runs([run], path / "m.zip", trust=("some_lab",))
    for name in [name for name in sys.modules if name.startswith("some_lab")]:
        monkeypatch.delitem(sys.modules, name)
    for trust in ((), ("some",), ("some_lab.net",), ("",), ("other", "some_labs")):
        with pytest.raises(UntrustedNetwork, match=message):
            read_package(path / "m.zip", trust=trust)
    assert not [name for name in sys.modules if name.startswith("some_lab")]
    for trust in (("some_lab",), ("some_lab.nets",), ("some_lab.nets.Tiny", "some_lab.nets")):
        (network,) = read_package(path / "m.zip", trust=trust).networks
        assert type(network).__name__ == "Tiny"


def forge(packed: Path, out: Path, **members: bytes) -> Path:
    """The package with other members, and a manifest that fits them."""
    names = {name.replace(".", "_").replace("/", "_"): name for name in namelist(packed)}
    with zipfile.ZipFile(packed) as old, zipfile.ZipFile(out, "w") as new:
        listed = {}
        for key, name in names.items():
            if name == MANIFEST:
                continue
            data = members.get(key, old.read(name))
            listed[name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            new.writestr(name, data)
        new.writestr(MANIFEST, json.dumps({"format": 1, "members": listed}))
    return out


def namelist(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as file:
        return file.namelist()


def networks(name: str, **arguments: object) -> bytes:
    entry = {"name": name, "arguments": arguments, "weights": "weights/0.safetensors"}
    return json.dumps([entry]).encode()


def test_trust_does_not_reach_through_a_module_to_what_it_imports(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    lab(tmp_path, monkeypatch)
    mark = tmp_path / "it_ran"
    entry = networks("some_lab.nets.os.system", command=f"touch {mark}")
    path = forge(packed, tmp_path / "f.zip", networks_json=entry)
    with pytest.raises(UntrustedNetwork, match=r"code of posix, which is not trusted"):
        read_package(path, trust=("some_lab",))
    assert not mark.exists()


@pytest.mark.parametrize("name", ["os.system", "builtins.eval", "delineate.io.atomic_path"])
def test_an_import_path_is_refused_without_being_imported(packed: Path, tmp_path: Path, name: str):
    path = forge(packed, tmp_path / "f.zip", networks_json=networks(name))
    with pytest.raises(UntrustedNetwork):
        read_package(path)


@pytest.mark.parametrize("name", ["as_output", "Unet", "__builtins__"])
def test_a_bare_name_that_is_no_network_of_ours_is_refused(packed: Path, tmp_path: Path, name: str):
    path = forge(packed, tmp_path / "f.zip", networks_json=networks(name))
    with pytest.raises(Exception, match=r"f\.zip: ") as caught:
        read_package(path)
    assert type(caught.value).__module__.startswith("delineate.")


def test_a_size_that_only_the_description_claims_is_never_allocated(packed: Path, tmp_path: Path):
    huge = networks("UNet", features=[1 << 18, 1 << 18, 1 << 18])
    path = forge(packed, tmp_path / "f.zip", networks_json=huge)
    with pytest.raises(DataError, match=r"the weights do not fit the network UNet: .*shape"):
        read_package(path)


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return (Path.touch, (self.mark,))


@pytest.mark.parametrize("way", ["pickle", "torch file"])
def test_a_payload_under_the_name_of_weights_does_not_run(packed: Path, tmp_path: Path, way: str):
    mark, file = tmp_path / "it_ran", tmp_path / "weights"
    if way == "pickle":
        file.write_bytes(pickle.dumps(Payload(mark)))
    else:
        torch.save(Payload(mark), file)
    weights = {"weights_0_safetensors": file.read_bytes()}
    path = forge(packed, tmp_path / "f.zip", **weights)
    with pytest.raises(PickleInside, match=r"f\.zip: weights/0\.safetensors: .*under another name"):
        read_package(path)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("member", "data", "message"),
    [
        ("plan_json", b'{"patch": 3}', r"f\.zip: plan\.json"),
        ("plan_json", b"[", r"f\.zip: plan\.json"),
        ("networks_json", b"{}", r"networks\.json must be a list of objects"),
        ("networks_json", b"[]", r"networks\.json names no network"),
        ("networks_json", b"[{}]", r"does not say where the weights are"),
        ("inference_json", b"[]", r"inference\.json is not as it must be"),
        ("weights_0_safetensors", b"\0" * 40, r"no readable safetensors file"),
    ],
)
def test_a_member_that_makes_no_sense_is_named(
    packed: Path, tmp_path: Path, member: str, data: bytes, message: str
):
    path = forge(packed, tmp_path / "f.zip", **{member: data})
    with pytest.raises(NotAPackage, match=message):
        read_package(path)


def test_scans_prepared_by_other_rules_are_refused(packed: Path, tmp_path: Path):
    with zipfile.ZipFile(packed) as file:
        data = json.loads(file.read("inference.json")) | {"preprocessing": 999}
    path = forge(packed, tmp_path / "f.zip", inference_json=json.dumps(data).encode())
    with pytest.raises(NotAPackage, match=r"rules of version 999.*its masks would differ"):
        read_package(path)


def test_preprocessing_is_told_with_all_its_figures(scans: Path, tmp_path: Path):
    rule = Normalisation(kind="ct", mean=40, deviation=10, low=-100, high=200)
    plan = changed(normalisation=(rule,), crop_nonzero=True, separate_axis=2)
    run = finish(tmp_path / "run", scans, plan=plan)
    package_runs([run], tmp_path / "m.zip")
    with zipfile.ZipFile(tmp_path / "m.zip") as file:
        steps = {step["step"]: step for step in json.loads(file.read("preprocessing.json"))}
        labels = json.loads(file.read("labels.json"))
    assert list(steps) == ["channels", "orient", "crop", "normalise", "resample"]
    figures = {"mean": 40.0, "deviation": 10.0, "low": -100.0, "high": 200.0}
    assert figures.items() <= steps["normalise"]["channels"][0].items()
    assert steps["resample"]["nearest_along_axis"] == 2
    assert labels == plan.labels.to_json()


def test_the_card_has_scores_with_intervals_and_numbered_worst_cases(packed: Path):
    card = read_card(packed)
    table = scores(PATIENTS)
    low, high = table.interval("dice")
    assert f"| Dice | {table.mean('dice'):.4f} | {low:.4f} to {high:.4f} |" in card
    assert "| case 4 of 4 | 0.4500 | lesion | 0.3000 | 6.0000 | 5.0000 |" in card
    assert card.index("case 4 of 4") < card.index("case 3 of 4") < card.index("case 1 of 4")
    assert "| lesion | 3 |" in card
    assert "Not a medical device" in card
    assert "delineate predict PACKAGE.zip" in card
    assert "- cases trained on: 4" in card
    assert "2 x UNet" in card


def test_what_only_the_authors_can_say_stands_in_the_card(scans: Path, tmp_path: Path):
    run = finish(tmp_path / "run", scans)
    said = Statement(name="Cord | lesions", licence="CC-BY-4.0", intended_use="Counting\nlesions.")
    package_runs([run], tmp_path / "m.zip", statement=said)
    card = read_card(tmp_path / "m.zip")
    assert card.startswith("# Cord | lesions\n")
    assert "- licence: CC-BY-4.0\n" in card
    assert "- intended use: Counting lesions.\n" in card
