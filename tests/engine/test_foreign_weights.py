import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from delineate.engine.adaptation import Ends
from delineate.engine.foreign_weights import output_names, read_source
from delineate.engine.keras_file import RESNET_NOTE
from delineate.engine.nnunet_checkpoint import AXES_NOTE
from delineate.engine.weights import save_weights
from delineate.errors import DataError
from delineate.labels import Class, Labels
from delineate.plan import Network, Normalisation, Plan, write_plan

LABELS = Labels.from_names({"liver": 1, "tumour": 2})
STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2)}
PLAN = Plan(
    channels=("T1", "FLAIR"),
    labels=LABELS,
    spacing=(1.0, 1.0, 1.0),
    shape=(16, 16, 16),
    crop_nonzero=False,
    normalisation=(Normalisation(kind="zscore"),) * 2,
    separate_axis=None,
    patch=(16, 16, 16),
    batch_size=2,
    network=Network(
        features=(4, 8),
        strides=((1, 1, 1), (2, 2, 2)),
        kernels=((3, 3, 3),) * 2,
        convolutions=(2, 2),
    ),
    memory_gb=0.1,
)


def same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> bool:
    return found.keys() == expected.keys() and all(
        torch.equal(found[name], tensor) for name, tensor in expected.items()
    )


def test_a_run_of_ours_knows_its_channels_and_classes(tmp_path: Path):
    weights = tmp_path / "checkpoints" / "best.safetensors"
    save_weights(weights, STATE, {"step": 1})
    write_plan(PLAN, tmp_path / "plan.json")
    for path in (tmp_path, weights):
        source = read_source(path)
        assert same(source.state, STATE)
        assert source.kind == "a run of delineate"
        assert source.ends.channels == ("T1", "FLAIR")
        assert source.ends.classes == ("background", "liver", "tumour")


def test_weights_on_their_own_know_what_lies_beside_them(tmp_path: Path):
    facts = {"channels": ["T1"], "labels": LABELS.to_json()}
    save_weights(tmp_path / "shared.safetensors", STATE, facts)
    ends = read_source(tmp_path / "shared.safetensors").ends
    assert ends == Ends(channels=("T1",), classes=("background", "liver", "tumour"))
    save_file(STATE, tmp_path / "alone.safetensors")
    assert read_source(tmp_path / "alone.safetensors").ends == Ends()
    (tmp_path / "alone.json").write_text("{")
    with pytest.raises(DataError, match=r"alone.json: not JSON"):
        read_source(tmp_path / "alone.safetensors")


@pytest.mark.parametrize(
    "facts",
    [
        {"channels": 1, "labels": LABELS.to_json()},
        {"channels": [1], "labels": LABELS.to_json()},
        {"channels": ["T1"], "labels": [1]},
        {"channels": ["T1"], "labels": {"classes": [{"name": "x"}]}},
    ],
)
def test_facts_that_training_did_not_write_are_named(tmp_path: Path, facts: dict):
    save_weights(tmp_path / "w.safetensors", STATE, facts)
    with pytest.raises(DataError, match=r"w.json: channels and labels in here are not as"):
        read_source(tmp_path / "w.safetensors")


def test_the_plan_of_another_run_is_not_taken(tmp_path: Path):
    write_plan(PLAN, tmp_path / "plan.json")
    save_weights(tmp_path / "mine" / "best.safetensors", STATE, {})
    assert read_source(tmp_path / "mine" / "best.safetensors").ends == Ends()


def test_what_is_met_again_is_not_searched_again(tmp_path: Path):
    inner: dict = {"epoch": 1}
    for _ in range(4):
        inner = {str(i): inner for i in range(1000)}
    torch.save({"state_dict": STATE, "model": inner}, tmp_path / "w.pt")
    assert same(read_source(tmp_path / "w.pt").state, STATE)
    torch.save({"hidden": inner}, tmp_path / "w.pt")
    with pytest.raises(DataError, match="no weights of a network"):
        read_source(tmp_path / "w.pt")


def test_modules_without_end_are_refused(tmp_path: Path):
    network = nn.Sequential(nn.Linear(1, 1))
    network._modules["self"] = network
    torch.save(network, tmp_path / "w.pt")
    with pytest.raises(DataError, match="modules without end"):
        read_source(tmp_path / "w.pt")


def test_names_that_cannot_be_shown_are_refused(tmp_path: Path):
    for name in ("a\x1b[2J", "a" * 5000):
        torch.save({name: torch.zeros(1)}, tmp_path / "w.pt")
        with pytest.raises(DataError, match="a name that cannot be shown"):
            read_source(tmp_path / "w.pt")


def test_a_checkpoint_with_broken_facts_is_an_error_and_not_a_traceback(tmp_path: Path):
    for facts in (
        {"dataset_json": {"labels": {"liver": "one"}}},
        {"dataset_json": {"channel_names": {"0": ["CT"]}}},
        {"plans": {"transpose_forward": [0]}},
    ):
        state = {"w": torch.zeros(1, 1, 1, 2, 3)}
        torch.save({"network_weights": state, "init_args": facts}, tmp_path / "w.pt")
        with pytest.raises(DataError, match="dataset_json or plans in here are not as nnU-Net"):
            read_source(tmp_path / "w.pt")


def test_overlapping_classes_have_no_background():
    tumour = Labels(classes=(Class(name="whole", id=1), Class(name="core", id=2)), overlapping=True)
    assert output_names(tumour) == ("whole", "core")


@pytest.mark.parametrize(
    "content",
    [
        STATE,
        {"state_dict": STATE, "epoch": 3, "optimizer": {"state": {0: {"m": torch.zeros(1)}}}},
        {"model": STATE, "ema": {"x": torch.zeros(1)}},
        {"epoch": torch.tensor(3), "model_state_dict": STATE},
        {"args": {"model": "unet"}, "checkpoint": {"net": STATE}},
        {"my_own_key": STATE, "epoch": 3},
    ],
    ids=["bare", "Lightning", "MONAI", "epoch as tensor", "nested", "unknown key"],
)
def test_the_network_is_found_in_what_people_put_around_it(tmp_path: Path, content: dict):
    torch.save(content, tmp_path / "w.pt")
    source = read_source(tmp_path / "w.pt")
    assert same(source.state, STATE)
    assert source.kind == "a PyTorch file"


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before 1.6"])
def test_a_whole_pickled_module_gives_its_state_dict(tmp_path: Path, zipped: bool):
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Sequential(nn.BatchNorm2d(2), nn.Linear(2, 2)))
    torch.save(network, tmp_path / "w.pt", _use_new_zipfile_serialization=zipped)
    state = read_source(tmp_path / "w.pt").state
    assert list(state) == list(network.state_dict())
    assert same(state, dict(network.state_dict()))


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_torchscript_file_gives_its_state_dict(tmp_path: Path):
    network = nn.Sequential(nn.Linear(1, 2), nn.Sequential(nn.Linear(2, 3)))
    traced = torch.jit.trace(network, torch.zeros(1, 1), check_trace=False)
    torch.jit.save(traced, tmp_path / "w.ts")
    assert same(read_source(tmp_path / "w.ts").state, dict(network.state_dict()))


def test_a_checkpoint_of_nnunet_knows_its_classes_and_its_axes(tmp_path: Path):
    dataset = {"labels": {"background": 0, "liver": 1}, "channel_names": {"0": "CT"}}
    content = {
        "network_weights": {"w": torch.arange(6.0).reshape(1, 1, 1, 2, 3)},
        "init_args": {"dataset_json": dataset, "plans": {}, "device": torch.device("cuda")},
        "_best_ema": np.float64(0.5),
    }
    torch.save(content, tmp_path / "checkpoint_final.pth")
    source = read_source(tmp_path / "checkpoint_final.pth")
    assert source.kind == "an nnU-Net checkpoint"
    assert source.ends == Ends(channels=("CT",), classes=("background", "liver"))
    assert source.notes == (AXES_NOTE,)
    assert torch.equal(source.state["w"][0, 0, :, :, 0], torch.arange(6.0).reshape(2, 3).t())


def test_a_keras_resnet_comes_with_the_note_on_its_strides(tmp_path: Path):
    with h5py.File(tmp_path / "r.h5", "w") as file:
        file["conv2_block1_1_conv/kernel:0"] = np.zeros((1, 1, 2, 3), np.float32)
    source = read_source(tmp_path / "r.h5")
    assert source.state["layer1.0.conv1.weight"].shape == (3, 2, 1, 1)
    assert source.notes == (RESNET_NOTE,)


def test_every_refusal_says_what_to_give_instead(tmp_path: Path):
    with pytest.raises(DataError, match=r"missing.pt: no such file. Fix: give a run folder"):
        read_source(tmp_path / "missing.pt")
    with pytest.raises(DataError, match=r"not the folder of a training \(checkpoints/best"):
        read_source(tmp_path)
    torch.save({"epoch": 3, "notes": "none"}, tmp_path / "w.pt")
    with pytest.raises(
        DataError, match=r"no weights of a network in here \(it holds: epoch, notes"
    ):
        read_source(tmp_path / "w.pt")
    (tmp_path / "w.safetensors").write_text(json.dumps({}))
    with pytest.raises(DataError, match="not a readable safetensors file"):
        read_source(tmp_path / "w.safetensors")
