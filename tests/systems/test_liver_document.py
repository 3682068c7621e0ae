"""Every block of Python and the command of the liver document, run from inside examples/liver."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import liver_document as document
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

THREE = {
    "embed_dim": 8, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 2, 2), "patch_size": (2, 2, 2),
    "group_size": (2, 2, 2),
}  # fmt: skip
TWO = THREE | {"patch_size": (2, 2), "group_size": (2, 2), "spatial_dims": 2}
SETTINGS = pytest.mark.parametrize("target", [None, 2], ids=["3 classes", "target_label=2"])
SPACES = pytest.mark.parametrize("dims", [3, 2], ids=["3-D", "2-D"])

# Of Lightning and of the machine that the tests run on; none is about the document.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
    pytest.mark.filterwarnings("ignore:The `srun` command is available"),
    pytest.mark.filterwarnings("ignore:.*is smaller than the logging interval"),
    pytest.mark.filterwarnings("ignore:GPU available but not used"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
]
Exec = Callable[[str], None]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of examples/liver: the folder we are in, and the first of the path."""
    here = document.copy_world(tmp_path)
    ours = {p.stem for p in here.iterdir() if p.is_dir()}
    before = {name: sys.modules.pop(name) for name in list(sys.modules) if _top(name) in ours}
    monkeypatch.chdir(here)
    monkeypatch.syspath_prepend(str(here))
    yield here
    for name in [name for name in sys.modules if _top(name) in ours]:
        del sys.modules[name]
    sys.modules |= before


def _top(name: str) -> str:
    return name.partition(".")[0]


class YourSegmentationModel(nn.Module):
    """What a user may have: no more than the documented line asks for."""

    def __init__(self, classes: int = 14, dims: int = 3) -> None:
        super().__init__()
        kind = nn.Conv3d if dims == 3 else nn.Conv2d
        self.layer = kind(1, classes, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        return self.layer(image)


def batch(dims: int, *, classes: int = 3) -> dict[str, Any]:
    """As the document's loader gives it."""
    generator = torch.Generator().manual_seed(0)
    shape = (1, 1, *(16, 12, 10)[:dims])
    affine = torch.eye(4)[None]
    return {
        "image": {"data": torch.randn(shape, generator=generator), "affine": affine},
        "label": {
            "data": torch.randint(0, classes, shape, generator=generator), "affine": affine
        },
        "id": ["one"],
    }  # fmt: skip


def loader(dims: int) -> DataLoader[Any]:
    return DataLoader([batch(dims)] * 2, batch_size=None)  # type: ignore[arg-type]


def shorten(config: Any, **changed: Any) -> None:
    """What makes any of the settings short: said behind, it wins."""
    short = {"max_epochs": 1, "num_workers": 0, "num_classes": 3, "precision": "32", "gpus": 0}
    for name, value in (short | changed).items():
        setattr(config, name, value)


def test_the_module_takes_any_network_and_has_the_documented_methods(world: Path):
    names: dict[str, Any] = {"YourSegmentationModel": YourSegmentationModel}
    exec(document.MODULE, names)
    module = names["lightning_module"]
    assert isinstance(module, pl.LightningModule)
    for method in ("forward", "training_step", "validation_step", "test_step"):
        assert callable(getattr(module, method))
    assert isinstance(module.configure_optimizers(), torch.optim.Adam)
    x = batch(3)["image"]["data"]
    assert torch.equal(module(x), names["model"](x))


@SPACES
def test_losses_and_metrics_take_volumes_and_pictures(world: Path, dims: int):
    names: dict[str, Any] = {"torch": torch}
    exec(document.LOSS, names)
    targets = batch(dims)["label"]["data"][:, 0]
    perfect = nn.functional.one_hot(targets, 3).movedim(-1, 1).float() * 50
    names |= {"logits": perfect.requires_grad_(), "targets": targets}
    exec(document.METRICS, names)
    assert [names[n] for n in ("dice", "iou", "acc")] == [pytest.approx(1), pytest.approx(1), 1]
    assert all(type(names[n]) is float for n in ("dice", "iou", "acc"))
    plain = torch.randn(1, 3, *targets.shape[1:])
    weights = torch.tensor([1.0, 2.0, 3.0])
    expected = nn.functional.cross_entropy(plain, targets, weights)
    torch.testing.assert_close(names["loss_fn"](plain, targets), expected)
    from model_training.metrics import boundary_f1_score

    assert boundary_f1_score(perfect, targets) == 1


@pytest.mark.parametrize("scheduler", [None, "step", "plateau"])
def test_the_optimiser_block_makes_a_module_of_ones_own(world: Path, tmp_path: Path, scheduler):
    from configs.model_training_config import ModelTrainingConfig

    config = ModelTrainingConfig(scheduler=scheduler, optimizer="sgd", num_classes=3)
    names: dict[str, Any] = {"config": config, "model": YourSegmentationModel(3)}
    exec(document.OPTIMIZER, names)
    assert isinstance(names["optimizer"], torch.optim.SGD)

    class Own(pl.LightningModule):
        """Trained by the documented function alone."""

        def __init__(self) -> None:
            super().__init__()
            self.config, self.layer = config, YourSegmentationModel(3)

        configure_optimizers = names["configure_optimizers"]

        def training_step(self, cases: dict[str, Any], batch_idx: int) -> Tensor:
            return self.layer(cases["image"]["data"]).square().mean()

        def validation_step(self, cases: dict[str, Any], batch_idx: int) -> None:
            self.log("val_loss", self.training_step(cases, batch_idx), batch_size=1)

    quiet(tmp_path).fit(Own(), loader(3), loader(3))


def quiet(folder: Path, **more: Any) -> pl.Trainer:
    return pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        default_root_dir=folder,
        enable_progress_bar=False,
        enable_model_summary=False,
        logger=False,
        enable_checkpointing=False,
        **more,
    )


def test_the_callbacks_block_makes_a_trainer(world: Path):
    from configs.model_training_config import ModelTrainingConfig

    names: dict[str, Any] = {"config": ModelTrainingConfig(), "pl": pl}
    exec(document.CALLBACKS, names)
    for kind in ("ModelCheckpoint", "EarlyStopping", "LearningRateMonitor"):
        wanted = getattr(pl.callbacks, kind)
        assert any(isinstance(callback, wanted) for callback in names["callbacks"]), kind
    assert set(names["callbacks"]) <= set(names["trainer"].callbacks)


def test_the_settings_are_changed_as_documented(world: Path):
    names: dict[str, Any] = {}
    exec(document.SETUP, names)
    config = names["config"]
    assert (config.max_epochs, config.optimizer, config.gpus) == (100, "adamw", 1)
    for block in (document.TARGET, document.PRECISION, document.GPUS, document.DEBUG):
        exec(block, names)
    assert (config.target_label, config.precision) == (2, "16-mixed")
    assert (config.gpus, config.debug) == (4, True)


@SETTINGS
@SPACES
def test_a_metric_of_ones_own_is_added_to_the_module(world: Path, tmp_path: Path, target, dims):
    from configs.model_training_config import ModelTrainingConfig
    from model_training.lightning_module import SegmentationLightningModule

    existing = (
        "    found = SegmentationLightningModule.validation_step(self, batch, batch_idx)\n"
        "    logits, y = found['logits'], found['y']\n"
    )
    assert document.EXISTING in document.CUSTOM
    names: dict[str, Any] = {"SegmentationLightningModule": SegmentationLightningModule}
    exec(document.CUSTOM.replace(document.EXISTING, existing), names)

    class Own(SegmentationLightningModule):
        """The document's, with a share of voxels that are right."""

        validation_step = names["validation_step"]

        def compute_custom_metric(self, logits: Tensor, y: Tensor) -> Tensor:
            return (logits.argmax(1) == y).float().mean()

    config = ModelTrainingConfig(num_classes=3, target_label=target)
    module = Own(YourSegmentationModel(3, dims), config)
    (found,) = quiet(tmp_path).validate(module, loader(dims), verbose=False)
    logits = module(batch(dims)["image"]["data"])
    y = batch(dims)["label"]["data"][:, 0]
    if target is not None:
        logits, y = logits[:, [0, target]], (y == target).long()
    expected = (logits.argmax(1) == y).float().mean()
    assert found["val_custom_metric"] == pytest.approx(float(expected))


@pytest.mark.slow
@SETTINGS
@SPACES
def test_the_pipeline_trains_and_tests_from_top_to_bottom(world: Path, target, dims):
    document.write_tree(world / "data_preprocessed", dims=dims)
    names: dict[str, Any] = {"pl": pl}
    exec(document.SETUP, names)
    config = names["config"]
    # Slices: along the axis on which a sample is one voxel long.
    flat = {"model_params": TWO, "patch_size": (16, 16, 1)}
    shorten(config, **({"model_params": THREE} if dims == 3 else flat))
    if target is not None:
        exec(document.TARGET, names)
    exec(document.MODEL, names)
    exec(document.LOADERS, names)
    exec(document.FIT, names)
    from pipelines.data_loading_pipeline import get_dataloader

    names["test_loader"] = get_dataloader(config.data_dir, "test", 1, 0)
    exec(document.TRAINER, names)
    assert (world / "checkpoints" / "last.ckpt").is_file()
    assert len(list((world / "checkpoints").glob("*val_loss*.ckpt"))) >= 1
    for number in range(2):
        run = world / "logs" / "ct-segmentation" / f"version_{number}"
        assert (run / "hparams.yaml").is_file()
        figures = scalars(run)
        assert {"train_loss_epoch", "val_loss", "val_dice", "val_iou", "val_bf1"} <= figures
    assert {"test_loss", "test_dice", "test_acc"} <= figures


def scalars(run: Path) -> set[str]:
    """What TensorBoard finds in the folder of a run."""
    event = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = event.EventAccumulator(str(run))
    found.Reload()
    return set(found.Tags()["scalars"])


@pytest.mark.slow
def test_advanced_settings_train_on_whatever_machine_there_is(world: Path, caplog):
    """4 GPUs, 16-mixed and debug where there is a processor alone, or one card."""
    document.write_tree(world / "data_preprocessed")
    names: dict[str, Any] = {}
    exec(document.SETUP, names)
    shorten(names["config"], model_params=THREE)
    for block in (document.TARGET, document.PRECISION, document.GPUS, document.DEBUG):
        exec(block, names)
    with caplog.at_level("INFO", logger="delineate"):
        exec(document.MODEL + document.LOADERS + document.FIT, names)
    if torch.cuda.device_count() < 4:
        assert "4" in caplog.text
    assert "image (1, 1, 20, 24, 16) float32" in caplog.text


@pytest.mark.slow
def test_the_command_of_tensorboard_finds_the_figures(world: Path):
    program = shutil.which("tensorboard", path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("needs delineate[tensorboard]")
    document.write_tree(world / "data_preprocessed")
    names: dict[str, Any] = {}
    exec(document.SETUP, names)
    shorten(names["config"], model_params=THREE)
    exec(document.MODEL + document.LOADERS + document.FIT, names)
    words = [program, *document.TENSORBOARD.split()[1:], "--inspect"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert "val_dice" in done.stdout, done.stderr


@pytest.mark.slow
def test_a_plain_script_runs_from_inside_the_folder(world: Path):
    """Without pytest, in a process of its own: the blocks one under the other."""
    document.write_tree(world / "data_preprocessed")
    short = (
        f"config.model_params = {THREE}\n"
        "config.num_classes, config.max_epochs, config.num_workers, config.gpus = 3, 1, 0, 0\n"
        "config.precision = '32'\n"
    )
    text = "\n".join([document.SETUP, short, document.MODEL, document.LOADERS, document.FIT])
    (world / "mine.py").write_text(f"if __name__ == '__main__':\n{indented(text)}")
    done = subprocess.run(
        [sys.executable, "mine.py"], capture_output=True, text=True, check=False, cwd=world
    )
    assert done.returncode == 0, done.stderr
    assert (world / "checkpoints" / "last.ckpt").is_file()


def indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())
