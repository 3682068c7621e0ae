"""The Lightning module in the user's own Trainer: loss, figures over the data set, checkpoints."""

import logging

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from liver_toys import Cases, Given, Tiny, brute_bf1, brute_dice, brute_iou, loader, settings
from torch import nn
from torch.utils.data import DataLoader

from delineate.contracts import Output
from delineate.errors import ConfigError, DataError
from delineate.systems.liver.epoch_figures import EpochFigures
from delineate.systems.liver.lightning_module import SegmentationLightningModule
from delineate.systems.liver.settings import ModelTrainingConfig

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
    pytest.mark.filterwarnings("ignore:.*smaller than the logging interval"),
    pytest.mark.filterwarnings("ignore:.*have no `val_dataloader`"),
    pytest.mark.filterwarnings("ignore:.*The `srun` command"),
]


def plain_trainer(folder, **how) -> Trainer:
    quiet = {
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "default_root_dir": folder,
    }
    return Trainer(**quiet | how)


def validate(module, batches) -> dict[str, float]:
    if isinstance(batches, list):  # which Lightning takes for several loaders
        batches = DataLoader(batches, batch_size=None)
    (found,) = plain_trainer(None).validate(module, batches, verbose=False)
    return found


class Half(nn.Module):
    """What an image's second half holds is background: something to be wrong about."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.given = Given(classes)

    def forward(self, image):
        half = image.clone()
        half[:, :, image.shape[2] // 2 :] = 0
        return self.given(half)


@pytest.mark.parametrize("batch", [1, 2, 5])
@pytest.mark.parametrize("background", [False, True])
def test_the_figures_are_those_of_all_cases_one_by_one(tmp_path, batch, background):
    cases = Cases(5, seed=3, spacing=(0.5, 1.0, 3.0))
    cases.images = cases.labels.astype(np.float32)
    cases.labels[2][cases.labels[2] == 2] = 1  # a case without a tumour, where one is found
    config = settings(tmp_path, include_background=background, class_names=("liver", "tumor"))
    found = validate(SegmentationLightningModule(Half(), config), loader(cases, batch))

    ours = cases.images.astype(int)
    ours[:, 3:] = 0
    classes = range(0 if background else 1, 3)

    def expected(figure):
        pairs = list(zip(ours, cases.labels, strict=True))
        return [np.nanmean([figure(p == k, t == k) for p, t in pairs]) for k in classes]

    assert found["val_dice"] == pytest.approx(np.mean(expected(brute_dice)), abs=1e-6)
    assert found["val_iou"] == pytest.approx(np.mean(expected(brute_iou)), abs=1e-6)
    surfaces = expected(lambda p, t: brute_bf1(p, t, (0.5, 1.0, 3.0), 1.0))
    assert found["val_bf1"] == pytest.approx(np.mean(surfaces), abs=1e-6)
    assert found["val_dice/tumor"] == pytest.approx(expected(brute_dice)[-1], abs=1e-6)
    assert ("val_dice/background" in found) == background
    shares = [
        (p == t)[(t > 0) | background].mean() for p, t in zip(ours, cases.labels, strict=True)
    ]
    assert found["val_acc"] == pytest.approx(np.mean(shares), abs=1e-6)
    loss = [
        nn.functional.cross_entropy(
            Half()(torch.from_numpy(i)[None, None]), torch.from_numpy(t)[None]
        )
        for i, t in zip(cases.images, cases.labels, strict=True)
    ]
    assert found["val_loss"] == pytest.approx(float(torch.stack(loss).detach().mean()), abs=1e-6)


def test_a_case_that_comes_twice_counts_once(tmp_path):
    cases = Cases(3, seed=1)
    module = SegmentationLightningModule(Tiny(), settings(tmp_path))
    once = validate(module, loader(cases, 2))
    twice = DataLoader(cases, batch_size=1, sampler=[0, 1, 2, 0, 0])
    assert validate(module, twice) == pytest.approx(once, abs=1e-6, nan_ok=True)


def test_without_ids_the_same_voxels_are_the_same_case(tmp_path):
    cases = Cases(2, seed=1)
    images = torch.from_numpy(cases.images)[:, None]
    labels = torch.from_numpy(cases.labels)
    module = SegmentationLightningModule(Tiny(), settings(tmp_path))
    once = validate(module, [(images, labels)])
    pairs = [(images[i : i + 1], labels[i : i + 1, None]) for i in (0, 1, 1)]
    assert validate(module, pairs) == pytest.approx(once, abs=1e-6, nan_ok=True)


def test_the_target_label_is_trained_alone(tmp_path):
    cases = Cases(3, seed=2)
    cases.images = cases.labels.astype(np.float32)
    config = settings(tmp_path, num_classes=14, target_label=2)
    module = SegmentationLightningModule(Given(14), config)
    module.config.target_label = 2
    batch = next(iter(loader(cases, 3)))
    image, truth = batch["image"]["data"], batch["label"]["data"][:, 0]
    loss = module.training_step(batch, 0)
    binary = (truth == 2).long()
    logits = Given(14)(image)[:, [0, 2]]
    assert torch.allclose(loss, nn.functional.cross_entropy(logits, binary))
    # Liver has neither channel: of two equal logits argmax takes the background.
    assert torch.equal(module.predict_step(batch), binary * 2)
    found = validate(module, [batch])
    assert found["val_dice"] == 1.0
    assert found["val_dice/2"] == 1.0
    assert found["val_bf1"] == 1.0


def test_a_network_of_two_outputs_needs_no_choice_of_channels(tmp_path):
    config = settings(tmp_path, num_classes=2, target_label=7)
    module = SegmentationLightningModule(Given(2), config)
    label = torch.zeros(1, 1, 4, 4, dtype=torch.long)
    label[..., 1:3, 1:3] = 7
    batch = ((label == 7).float(), label)
    assert validate(module, [batch])["val_dice/7"] == 1.0
    assert torch.equal(module.predict_step(batch), label[:, 0])


def test_pictures_are_segmented_as_volumes_are(tmp_path):
    label = torch.zeros(2, 1, 6, 8, dtype=torch.long)
    label[:, :, 1:4, 2:6] = 1
    label[:, :, 2, 3] = 2
    module = SegmentationLightningModule(Given(), settings(tmp_path))
    found = validate(module, [(label.float(), label)])
    assert (found["val_dice"], found["val_bf1"], found["val_acc"]) == (1.0, 1.0, 1.0)


KINDS = {
    "tensor": lambda fine, coarse: fine,
    "list": lambda fine, coarse: [fine, coarse],
    "tuple": lambda fine, coarse: (fine, coarse),
    "mapping": lambda fine, coarse: {"out": fine, "aux": coarse},
    "output": lambda fine, coarse: Output(logits=fine, deep=(coarse,)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_networks_of_every_kind_are_trained(tmp_path, kind):
    class Network(Tiny):
        def forward(self, image):
            fine = super().forward(image)
            return KINDS[kind](fine, fine[:, :, ::2, ::2, ::2])

    module = SegmentationLightningModule(Network(), settings(tmp_path))
    batch = next(iter(loader(Cases(2), 2)))
    loss = module.training_step(batch, 0)
    loss.backward()
    image, truth = batch["image"]["data"], batch["label"]["data"][:, 0]
    fine = Tiny.forward(module.model, image)
    expected = nn.functional.cross_entropy(fine, truth)
    if kind != "tensor":
        coarse = nn.functional.interpolate(
            fine[:, :, ::2, ::2, ::2], scale_factor=2, mode="trilinear"
        )
        size = tuple(slice(n) for n in truth.shape[1:])
        aside = nn.functional.cross_entropy(coarse[(..., *size)], truth)
        expected = (expected + 0.5 * aside) / 1.5
    assert torch.allclose(loss, expected, atol=1e-6)
    assert module(image).shape == (2, 3, *image.shape[2:])


def test_volumes_beyond_the_patch_are_looked_at_by_windows(tmp_path):
    torch.manual_seed(0)
    cases = Cases(2, (9, 10, 8), seed=4)
    network = nn.Conv3d(1, 3, 1)
    whole = SegmentationLightningModule(network, settings(tmp_path))
    parts = SegmentationLightningModule(network, settings(tmp_path, patch_size=(4, 6, 8)))
    seen = []
    network.register_forward_hook(lambda _, given, __: seen.append(tuple(given[0].shape[2:])))
    expected = validate(whole, loader(cases))
    seen.clear()
    assert validate(parts, loader(cases)) == pytest.approx(expected, abs=1e-5)
    assert set(seen) == {(4, 6, 8)}


def test_a_network_for_slices_walks_through_a_volume(tmp_path):
    cases = Cases(1, (8, 7, 3), seed=4)
    config = settings(tmp_path, patch_size=(8, 7, 1))
    module = SegmentationLightningModule(Given(), config)
    cases.images = cases.labels.astype(np.float32)
    assert validate(module, loader(cases))["val_dice"] == 1.0
    slice_ = {
        name: {"data": part["data"][..., :1], "affine": part["affine"]}
        for name, part in next(iter(loader(cases))).items()
        if name != "id"
    }
    seen = []
    module.model.register_forward_hook(lambda _, given, __: seen.append(given[0].dim()))
    module.training_step(slice_, 0)
    assert seen == [4]


class Extended(SegmentationLightningModule):
    def compute_custom_metric(self, logits, y):
        return (logits.argmax(1) == y).float().mean()

    def validation_step(self, batch, batch_idx):
        found = super().validation_step(batch, batch_idx)
        logits, y = found["logits"], found["y"]

        # Add custom metric
        custom_metric = self.compute_custom_metric(logits, y)
        self.log('val_custom_metric', custom_metric, on_epoch=True)  # fmt: skip


def test_the_documented_way_to_add_a_figure_works(tmp_path):
    cases = Cases(3)
    module = Extended(Tiny(), settings(tmp_path))
    found = validate(module, loader(cases, 2))
    images = torch.from_numpy(cases.images)[:, None]
    right = module(images).argmax(1).numpy() == cases.labels
    assert found["val_custom_metric"] == pytest.approx(right.mean(), abs=1e-6)
    assert "val_dice" in found


def test_a_users_own_trainer_logs_every_documented_figure(tmp_path):
    cases = Cases(4)
    module = SegmentationLightningModule(Tiny(), settings(tmp_path))
    trainer = plain_trainer(tmp_path, max_epochs=1, log_every_n_steps=2)
    trainer.fit(module, loader(cases, 1), loader(cases, 2))
    logged = trainer.callback_metrics
    figures = ("loss", "dice", "iou", "bf1", "acc")
    assert {f"{stage}_{name}" for stage in ("train", "val") for name in figures} <= logged.keys()
    assert {f"train_{name}_{end}" for name in figures for end in ("step", "epoch")} <= logged.keys()
    assert {"val_dice/1", "val_dice/2", "train_dice/1"} <= logged.keys()
    (tested,) = trainer.test(module, loader(cases), verbose=False)
    assert {f"test_{name}" for name in figures} <= tested.keys()


def test_a_checkpoint_is_read_without_pickles_and_brings_its_settings(tmp_path):
    config = settings(
        tmp_path,
        model_name="liver_toys.Tiny",
        class_names=("liver", "tumor"),
        class_weights=(1, 2, 3),
    )
    module = SegmentationLightningModule(config=config)
    trainer = plain_trainer(tmp_path, max_epochs=1)
    trainer.fit(module, loader(Cases(1)))
    path = tmp_path / "module.ckpt"
    trainer.save_checkpoint(path)
    content = torch.load(path, weights_only=True)
    assert ModelTrainingConfig(**content["hyper_parameters"]["config"]) == config
    again = SegmentationLightningModule.load_from_checkpoint(path, weights_only=True)
    assert again.config == config
    assert all(map(torch.equal, again.parameters(), module.parameters()))


def test_debug_tells_of_the_first_batches_what_the_module_sees(tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="delineate")
    cases = Cases(5)
    module = SegmentationLightningModule(Tiny(), settings(tmp_path))
    validate(module, loader(cases))
    assert "batch 0" not in caplog.text
    module.config.debug = True
    validate(module, loader(cases))
    text = caplog.text
    assert "val batch 0: cases case_00" in text
    assert "image (1, 1, 6, 7, 5) float32 on cpu" in text
    assert "spacing ((1.0, 1.0, 1.0),)" in text
    assert "voxels by id {0: " in text
    assert "logits (1, 3, 6, 7, 5) float32" in text
    assert "peak memory_gb" in text
    assert "val batch 2" in text
    assert "val batch 3" not in text


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({"image": torch.zeros(1, 1, 4, 4)}, "no 'label'"),
        (torch.zeros(1, 1, 4, 4), "no 'label'"),
        ((torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 5).long()), "images of .* and labels of"),
        ((torch.zeros(1, 4), torch.zeros(1, 4).long()), "2 or 3 dimensions"),
        ((torch.zeros(1, 1, 4, 4), torch.full((1, 1, 4, 4), 9)), "holds the id 9, but num_classes"),
    ],
)
def test_a_batch_that_cannot_be_trained_on_is_told(tmp_path, batch, message):
    module = SegmentationLightningModule(Tiny(dims=2), settings(tmp_path))
    with pytest.raises(DataError, match=message):
        module.training_step(batch, 0)


def test_a_network_of_other_outputs_is_told(tmp_path):
    batch = next(iter(loader(Cases(1))))
    module = SegmentationLightningModule(Tiny(4), settings(tmp_path))
    with pytest.raises(ConfigError, match="4 channels but num_classes is 3"):
        module.training_step(batch, 0)
    module.config.num_classes, module.config.target_label = 9, 8
    with pytest.raises(ConfigError, match="target_label is 8 but the network puts out 4"):
        module.training_step(batch, 0)


def test_an_epoch_of_nothing_has_no_figures():
    found = EpochFigures().finish(("liver",))
    assert all(np.isnan(value) for value in found.values())
