"""Weights against a split: hard figures, gated by presence; files, messages, command lines."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from delineate.contracts import Output
from delineate.errors import DataError
from delineate.labels import Labels
from delineate.metrics import read_table
from delineate.models.sadaan import SADAAN
from delineate.plan import Network, Normalisation, Plan, write_plan
from delineate.systems.sadaan.dataset import HDF5MedicalDataset
from delineate.systems.sadaan.evaluation import evaluate
from delineate.systems.sadaan.evaluation_commands import run_test
from delineate.systems.sadaan.trained import TrainedNetwork, load_trained

NAMES = ("liver", "spleen", "L1")
SHAPE = (16, 17, 15)
SAMPLES = 6


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Boxes in noise, some absent; test.h5 only."""
    rng = np.random.default_rng(0)
    root = tmp_path_factory.mktemp("data")
    masks = np.zeros((SAMPLES, len(NAMES), *SHAPE), bool)
    for mask in masks.reshape(-1, *SHAPE)[::2]:
        low = rng.integers(0, 8, 3)
        mask[tuple(slice(a, a + 6) for a in low)] = True
    (root / "metadata.json").write_text(json.dumps({"structure_names": NAMES}))
    with h5py.File(root / "test.h5", "w") as file:
        file["images"] = rng.uniform(0, 255, (SAMPLES, *SHAPE)).astype(np.float32)
        file["masks"] = masks
        file["presence_labels"] = masks.any((2, 3, 4)).astype(np.int64)
        file["scenarios"] = ["odd" if i % 2 else "even" for i in range(SAMPLES)]
    return root


class Guess(nn.Module):
    """Structure s where the value exceeds its level; presence by the mean of the scan."""

    def forward(self, image: Tensor) -> Output:
        """Of raw values from 0 to 255."""
        levels = torch.tensor([100.0, 200.0, 254.9]).view(1, -1, 1, 1, 1)
        mean = image.mean((1, 2, 3, 4))[:, None]
        return Output(
            logits=image - levels, presence=(mean - torch.tensor([[120.0, 128.0, 127.0]]))
        )


def by_hand(data: Path, threshold: float) -> dict[str, list[list[float]]]:
    """The same network and figures in plain loops."""
    rows: dict[str, list[list[float]]] = {"probability": [], "dice": [], "iou": []}
    with h5py.File(data / "test.h5", "r", locking=False) as file:
        for image, masks in zip(file["images"], file["masks"], strict=True):
            scores = [float(image.astype(np.float64).mean()) - m for m in (120, 128, 127)]
            chances = [1 / (1 + np.exp(-score)) for score in scores]
            dice, iou = [], []
            for chance, level, mask in zip(chances, (100, 200, 254.9), masks, strict=True):
                found = (image > np.float32(level)) & (chance >= threshold)
                total, both = int(found.sum() + mask.sum()), int((found & mask).sum())
                dice.append(2 * both / total if total else 1.0)
                iou.append(both / (total - both) if total else 1.0)
            for name, values in (("probability", chances), ("dice", dice), ("iou", iou)):
                rows[name].append(values)
    return rows


@pytest.mark.parametrize("threshold", [0.05, 0.5, 0.9])
def test_figures_are_those_of_gated_masks_counted_by_hand(data: Path, threshold: float) -> None:
    trained = TrainedNetwork(network=Guess(), structure_names=NAMES)
    seen: dict[int, np.ndarray] = {}
    found = evaluate(
        trained,
        HDF5MedicalDataset(data, "test"),
        threshold=threshold,
        see=lambda place, masks: seen.update({place: masks}),
    )
    expected = by_hand(data, threshold)
    np.testing.assert_allclose(found.probability, expected["probability"], atol=1e-3)
    np.testing.assert_allclose(found.dice, expected["dice"], atol=1e-6)
    np.testing.assert_allclose(found.iou, expected["iou"], atol=1e-6)
    assert sorted(seen) == list(range(SAMPLES))
    for place, masks in seen.items():
        shown = masks.any((1, 2, 3))
        assert not shown[~found.called[place]].any()
        np.testing.assert_array_equal(masks.sum((1, 2, 3)), found.predicted_voxels[place])


def test_absent_structures_count_one_when_left_alone_and_zero_when_not(data: Path) -> None:
    samples = HDF5MedicalDataset(data, "test")
    trained = TrainedNetwork(network=Guess(), structure_names=NAMES)
    never = evaluate(trained, samples, threshold=1.1)
    assert set(np.unique(never.dice)) == {0.0, 1.0}
    np.testing.assert_array_equal(never.dice == 1, ~never.present)
    always = evaluate(trained, samples, threshold=0.0)
    alarms = always.false_alarms
    assert alarms.any()
    assert (always.dice[alarms] == 0).all()


def sadaan(path: Path, **changed: Any) -> SADAAN:
    torch.manual_seed(0)
    network = SADAAN(1, len(NAMES), width=2, prior_size=3)
    checkpoint = {
        "epoch": 4,
        "model_state_dict": network.state_dict(),
        "optimizer_state_dict": {},
        "scheduler_state_dict": {},
        "structure_names": list(NAMES),
        "is_best": True,
        "train_loss_history": [1.0],
        "val_loss_history": [2.0],
    }
    torch.save(checkpoint | changed, path)
    return network


def test_a_checkpoint_of_any_size_gives_its_network_back(tmp_path: Path) -> None:
    network = sadaan(tmp_path / "best_model.pth").eval()
    trained = load_trained(tmp_path / "best_model.pth")
    assert (trained.structure_names, trained.epoch) == (NAMES, 4)
    image = torch.rand(1, 1, 16, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(trained.network(image).logits, network(image).logits)
    full = SADAAN(2, 1, width=2, prior="full", img_size=(16, 16, 32))
    changed = {"model_state_dict": full.state_dict(), "structure_names": ["liver"]}
    sadaan(tmp_path / "full.pth", **changed)
    assert load_trained(tmp_path / "full.pth").network.prior.shape == (1, 16, 16, 32)


def test_the_plan_in_a_checkpoint_prepares_the_scans(data: Path, tmp_path: Path) -> None:
    plan = Plan(
        channels=("image",),
        labels=Labels.from_names({n: i for i, n in enumerate(NAMES, 1)}, overlapping=True),
        spacing=(1.0, 1.0, 1.0),
        shape=SHAPE,
        crop_nonzero=False,
        normalisation=(Normalisation(kind="scale"),),
        separate_axis=None,
        patch=(16, 32, 16),
        batch_size=1,
        network=Network(
            features=(2,), strides=((1, 1, 1),), kernels=((3, 3, 3),), convolutions=(2,)
        ),
        memory_gb=0.0,
    )
    write_plan(plan, tmp_path / "plan.json")
    text = (tmp_path / "plan.json").read_text()
    sadaan(tmp_path / "a.pth", plan=text, presence_threshold=0.3)
    trained = load_trained(tmp_path / "a.pth")
    assert (trained.plan, trained.presence_threshold) == (plan, 0.3)

    class Look(nn.Module):
        """Notes what it is given."""

        given: Tensor

        def forward(self, image: Tensor) -> Output:
            """Nothing anywhere."""
            self.given = image.clone()
            shape = (1, len(NAMES), *image.shape[2:])
            return Output(logits=-torch.ones(shape), presence=torch.zeros(1, len(NAMES)))

    network = Look()
    samples = HDF5MedicalDataset(data, "test")
    found = evaluate(replace(trained, network=network), samples, threshold=0.3)
    assert found.called.all()
    assert found.predicted_voxels.sum() == 0
    assert network.given.shape == (1, 1, 16, 32, 16)
    inside = network.given.sum().item()
    assert inside == pytest.approx(samples[SAMPLES - 1]["image"].sum().item() / 255, rel=1e-5)


def test_foreign_weights_are_named_and_what_to_do(tmp_path: Path) -> None:
    theirs = {"position.prior": torch.zeros(3, 16, 16, 16), "enc.weight": torch.zeros(2)}
    sadaan(tmp_path / "a.pth", model_state_dict=theirs)
    with pytest.raises(DataError) as error:
        load_trained(tmp_path / "a.pth")
    assert str(error.value) == (
        f"{tmp_path}/a.pth: not the weights of this SADAAN (first: position.prior). If the "
        "original SADAAN program wrote it: its weights have other names and a position prior of "
        "one size, and cannot be taken over. Fix: train anew with train_hdf5.py."
    )
    state = SADAAN(1, 3, width=2, prior_size=3).state_dict()
    del state["offset"]
    sadaan(tmp_path / "b.pth", model_state_dict=state)
    with pytest.raises(
        DataError, match=r"1 missing, 0 unknown, 0 of another shape \(first: offset"
    ):
        load_trained(tmp_path / "b.pth")


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    torch.save({"state": {}}, tmp_path / "a.pth")
    with pytest.raises(DataError, match=r"a\.pth: has no 'epoch'\. Fix: give a best_model\.pth"):
        load_trained(tmp_path / "a.pth")
    sadaan(tmp_path / "b.pth", val_loss_history=Path("x"))
    with pytest.raises(DataError, match=r"(?s)b\.pth: not a readable .* If the original SADAAN"):
        load_trained(tmp_path / "b.pth")
    (tmp_path / "c.pth").write_bytes(b"no")
    with pytest.raises(DataError, match=r"c\.pth: not a readable checkpoint"):
        load_trained(tmp_path / "c.pth")
    with pytest.raises(DataError, match=r"d\.pth: no such file\. Did you mean"):
        load_trained(tmp_path / "d.pth")
    sadaan(tmp_path / "e.pth", structure_names=["liver"])
    with pytest.raises(DataError, match=r"weights are for 3 structures, but it names 1"):
        load_trained(tmp_path / "e.pth")


@pytest.mark.slow
def test_the_command_writes_all_that_is_documented(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights, out = tmp_path / "best_model.pth", tmp_path / "out"
    sadaan(weights)
    words = ["-w", weights, "--dataset", data, "-s", "test", "-o", out, "--device", "cpu"]
    run_test([*map(str, words), "--max-vis-samples", "1", "--presence-threshold", "0.4"])
    metrics = json.loads((out / "detailed_metrics.json").read_text())
    report = (out / "evaluation_report.txt").read_text()
    assert report in capsys.readouterr().out
    assert "best_model.pth, after epoch 5" in report
    assert "probability of 0.4 on" in report
    pictures = sorted(path.name for path in (out / "visualizations").iterdir())
    assert pictures == ["sample_00000.png"]
    table = read_table(out / "table.csv")
    assert table.mean("dice") == pytest.approx(metrics["segmentation_overall"]["mean_dice"])
    accuracy = table.values("presence_accuracy").mean()
    assert accuracy == pytest.approx(metrics["presence_overall_accuracy"])


def test_a_mistake_is_one_message_and_exit_code_2(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sadaan(tmp_path / "a.pth", structure_names=["liver", "L1", "spleen"])
    for words, message in (
        (["-w", tmp_path / "a.pth", "-d", data], "a.pth: was trained for 3 structures (liver, L1,"),
        (["-w", tmp_path / "a.pth", "-d", data, "-s", "val"], "no val.h5, but test.h5."),
        (["-w", tmp_path / "b.pth", "-d", data], "b.pth: no such file. Did you mean a.pth?"),
    ):
        with pytest.raises(SystemExit) as end:
            run_test([*map(str, words), "-o", str(tmp_path / "out")])
        assert end.value.code == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
