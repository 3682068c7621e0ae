"""Trainings from an experiment to its best checkpoint, tables and pictures."""

import csv
import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from spine_trainings import UNET, classes, masks

from delineate.errors import ConfigError, DataError
from delineate.systems.spine.learning.checkpoint import facts_of, load_trained
from delineate.systems.spine.learning.trainer import train

pytestmark = pytest.mark.slow

WATCHED = {
    "filename": "{epoch:03d}-{val_Dice:.6f}", "monitor": "val_Dice", "mode": "max", "save_top_k": 5
}  # fmt: skip
KEEP = {"name": "ModelCheckpoint", "params": WATCHED}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_training_of_masks_leaves_what_is_documented(tmp_path: Path):
    asked = masks(
        tmp_path,
        logger={"name": "wandb"},
        trainer={
            "epochs": 3,
            "precision": 16,
            "callbacks": [
                {"name": "LearningRateMonitor", "params": {"logging_interval": "epoch"}},
                KEEP,
                {"name": "SegmentationSampler", "image_amount": 2, "class_labels": {1: "lesion"}},
                {"name": "EarlyStopping", "params": {"patience": 5}},
            ],
        },
        metric=[
            {"name": "torchmetrics.JaccardIndex", "alias": "iou", "params": {"task": "binary"}},
            {"name": "torchmetrics.Dice", "params": {"num_classes": 2, "ignore_index": 0}},
            {"name": "sklearn.f1_score", "alias": "f1_scikit", "phase": ["val"]},
        ],
    )  # fmt: skip
    best = train(asked)
    run = tmp_path / "logs" / "wandb" / "first"
    assert best.parent == run / "checkpoints"
    assert best.name.startswith("epoch=00")
    assert len(list(best.parent.glob("epoch=*-val_Dice=*.ckpt"))) == 3
    assert {p.name for p in (run / "samples").iterdir()} == {f"epoch_00{n}.png" for n in range(3)}
    assert (tmp_path / "logs" / "checkpoints" / "first.ckpt").read_bytes() == best.read_bytes()
    assert len(list((tmp_path / "logs" / "wandb").glob("offline-run-*"))) == 1
    assert list((tmp_path / "logs" / "wandb").glob("offline-run-*/files/media/images/*.png"))
    table = rows(run / "metrics.csv")
    assert len(table) == 3
    assert {"val_loss", "val_iou", "val_Dice", "train_Dice", "lr-Adam"} <= table[0].keys()
    # Of one foreground class, Dice and F1 of the whole data set are one figure.
    assert float(table[-1]["val_Dice"]) == pytest.approx(
        float(table[-1]["val_f1_scikit"]), abs=1e-5
    )
    assert "train_f1_scikit" not in table[0]
    top = max(float(row["val_Dice"]) for row in table)
    assert f"val_Dice={top:.6f}"[:-2] in best.name
    told = rows(run / "test_cases.csv")
    assert len(told) == 4
    hit = sum(float(r["dice"]) * (int(r["true_pixels"]) + int(r["predicted_pixels"])) for r in told)
    whole = sum(int(r["true_pixels"]) + int(r["predicted_pixels"]) for r in told)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["test_Dice"] == pytest.approx(hit / whole, abs=1e-4)
    steps = [line["step"] for line in lines]
    assert steps == sorted(steps)
    found = load_trained(best)
    assert found.task == "segmentation"
    assert found.predict(torch.rand(1, 1, 33, 20)).shape == (1, 1, 33, 20)


def test_a_training_of_classes_with_weights_and_a_schedule(tmp_path: Path):
    asked = classes(
        tmp_path,
        model={"class_weight": "balanced", "freeze": True},
        trainer={
            "lr": {"init_value": 0.01, "scheduler": {"name": "CosineLRScheduler"}},
            "sampler": {"name": "WeightedRandomSampler"},
            "optimizer": {"name": "AdamW", "params": {"weight_decay": 0.1}},
        },
    )
    best = train(asked)
    found = load_trained(best)
    assert found.classes == ("class0", "class1", "class2")
    chances = found.predict(torch.rand(2, 1, 32, 32))
    torch.testing.assert_close(chances.sum(1), torch.ones(2))
    run = best.parent.parent
    assert [float(r["lr-AdamW"]) for r in rows(run / "metrics.csv")] == pytest.approx([0.01, 0.005])
    table = rows(run / "val_cases.csv")
    assert {"class", "predicted", "p_class0"} <= table[0].keys()
    start, end = (torch.load(p, weights_only=True) for p in (best.parent / "last.ckpt", best))
    name = "network.conv1.weight"
    assert torch.equal(start["state_dict"][name], end["state_dict"][name])
    assert end["optimizer_states"][0]["param_groups"][0]["weight_decay"] == 0.1


def test_a_killed_training_goes_on_to_the_same_bits(tmp_path: Path, monkeypatch):
    from delineate.systems.spine.learning import trainer as module

    asked = masks(tmp_path, model={**UNET, "dropout": 0.2}, trainer={"epochs": 4})
    whole = train(asked)
    build = module.build_callbacks

    def killed(*args, **kwargs):
        return [Kill(), *build(*args, **kwargs)]

    monkeypatch.setattr(module, "build_callbacks", killed)
    with pytest.raises(RuntimeError, match="killed"):
        train(asked)
    monkeypatch.undo()
    again = train(asked, resume="last")
    assert again.parent.parent.name == "first-2"
    one, other = (torch.load(b.parent / "last.ckpt", weights_only=True) for b in (whole, again))
    for name, weight in one["state_dict"].items():
        assert torch.equal(weight, other["state_dict"][name]), name
    tables = [rows(b.parent.parent / "metrics.csv") for b in (whole, again)]
    assert [r["val_Dice"] for r in tables[0]] == [r["val_Dice"] for r in tables[1]]
    with pytest.raises(ConfigError, match="4 of 4 epochs are done"):
        train(asked, resume=again.parent / "last.ckpt")


class Kill(__import__("lightning").pytorch.Callback):
    """Ends a training in its third epoch."""

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        if trainer.current_epoch == 2:
            raise RuntimeError("killed")


@pytest.mark.parametrize("mode", ["Taylor", "L2"])
def test_a_network_shrinks_and_its_checkpoints_know_it(tmp_path: Path, mode: str):
    params = {
        "prune_every_n_epochs": 1, "prune_percentage": 10, "pruning_mode": mode,
        "total_pruning_iterations": 2, "recovery_epochs": 1,
    }  # fmt: skip
    asked = masks(
        tmp_path,
        model={"name": "ImproveSTAMPUNet", "init_features": 4, "features": None},
        trainer={"epochs": 4, "callbacks": [{"name": "PruningCallback", "params": params}]},
    )
    best = train(asked)
    last = best.parent / "last.ckpt"
    full = 2 * (4 + 8 + 16) + 2 * (4 + 8) + 4 + 8
    assert sum(facts_of(last).structure["widths"].values()) == full - 2 * round(full * 0.1)
    for path in (best, last):
        assert load_trained(path).predict(torch.rand(1, 1, 16, 16)).shape == (1, 1, 16, 16)


def test_parts_of_ones_own_are_found_in_the_folder_of_models(tmp_path: Path):
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "MyNet.py").write_text(
        "import torch\n"
        "from ml_framework.base.model import BaseModel\n"
        "class MyNet(BaseModel):\n"
        "    def __init__(self, **kwargs):\n"
        "        super().__init__()\n"
        "        self.conv = torch.nn.Conv2d(1, kwargs['custom_param'], 3, padding=1)\n"
        "        self.out = torch.nn.Conv2d(kwargs['custom_param'], 1, 1)\n"
        "    def forward(self, x):\n"
        "        return self.out(self.conv(x).relu())\n"
    )
    (folder / "losses.py").write_text(
        "from ml_framework.base.loss import BaseLoss\n"
        "class MyLoss(BaseLoss):\n"
        "    def forward(self, pred, target):\n"
        "        return ((pred - target) ** 2).mean()\n"
    )
    asked = masks(
        tmp_path,
        directory={"model": folder},
        model={"name": "MyNet", "features": None, "depth": None, "use_batch_norm": None,
               "in_channels": None, "custom_param": 3, "loss": {"name": "MyLoss"}},
    )  # fmt: skip
    found = load_trained(train(asked))
    assert found.module.network.conv.out_channels == 3


def test_weights_of_another_training_are_the_beginning(tmp_path: Path, caplog):
    first = masks(tmp_path, trainer={"epochs": 1})
    train(first)
    second = masks(
        tmp_path,
        experiment_name="second",
        model={"pretrained": "first.ckpt"},
        trainer={"epochs": 1},
    )
    with caplog.at_level(logging.INFO, "delineate"):
        train(second)
    assert "100.0 %" in caplog.text.split("pretrained:")[1].splitlines()[0]
    with pytest.raises(DataError, match=r"pretrained: none.pt: no such file; looked for:"):
        train(masks(tmp_path, model={"pretrained": "none.pt"}))


def test_mistakes_are_told_before_anything_is_trained(tmp_path: Path, caplog):
    def refused(text: str, **changes):
        with pytest.raises((ConfigError, DataError), match=text):
            train(masks(tmp_path, **changes))

    callback = {"name": "ModelCheckpoint", "params": {"monitor": "val_dise"}}
    refused("monitor 'val_dise' is not logged. Did you mean", trainer={"callbacks": [callback]})
    refused("'ModelCheckpont' is unknown", trainer={"callbacks": [{"name": "ModelCheckpont"}]})
    refused("unknown argument 'moniter'", trainer={"callbacks": [
        {"name": "EarlyStopping", "params": {"moniter": 1}}]})  # fmt: skip
    refused("cannot be pruned", trainer={"callbacks": [{"name": "PruningCallback"}]})
    refused("logger 'wandbb' is unknown", logger={"name": "wandbb"})
    refused("optimizer 'Adamm' is unknown", trainer={"optimizer": {"name": "Adamm"}})
    refused("tells classes of images, but the data have masks", model={
        "name": "ResNet", "features": None, "depth": None, "use_batch_norm": None})  # fmt: skip
    watched = {"name": "ModelCheckpoint", "params": {"monitor": "train_loss"}}
    train(masks(tmp_path, trainer={"callbacks": [watched], "epochs": 1}), dry_run=True)
    assert "of the slices that are trained on" in caplog.text
    assert (tmp_path / "logs" / "runs" / "first-dry-run").is_dir()
    assert not (tmp_path / "logs" / "checkpoints").exists()


def test_two_processes_measure_each_slice_once(tmp_path: Path):
    code = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from pathlib import Path\n"
        "from spine_trainings import masks\n"
        "from delineate.systems.spine.learning.trainer import train\n"
        "two = {'accelerator': 'cpu', 'devices': 2, 'strategy': 'ddp'}\n"
        "train(masks(Path(sys.argv[1]), trainer={'epochs': 1, 'params': two}))\n"
    )
    program = tmp_path / "program.py"
    program.write_text(code)
    masks(tmp_path)
    here = str(Path(__file__).parent)
    subprocess.run([sys.executable, str(program), str(tmp_path), here], check=True, timeout=300)
    run = tmp_path / "logs" / "runs" / "first"
    assert len(rows(run / "val_cases.csv")) == 4
    assert len(list(run.parent.iterdir())) == 1
