"""Folders of scans to masks on the scans' own grids, by networks whose answer is known."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from liver_document import draw, save
from torch import Tensor, nn

from delineate.errors import DataError
from delineate.inference import Windows
from delineate.systems.liver import prediction, trained
from delineate.systems.liver.commands import run_prediction
from delineate.systems.liver.prediction import find_scans, predict_folder
from delineate.systems.liver.prepared_tree import prepare_tree
from delineate.systems.liver.scan_mask import draw_mask
from delineate.systems.liver.settings import (
    ModelPredictionConfig,
    ModelTrainingConfig,
    PreprocessingConfig,
    plain,
)

SPACING = (1.0, 1.2, 2.0)
SETTINGS = PreprocessingConfig(
    target_spacing=(1.5, 1.5, 1.5), target_size=(24, 24, 24), normalize_method="minmax",
    train_ratio=0.0, val_ratio=0.0, test_ratio=1.0, num_workers=1,
)  # fmt: skip
"""HU of -100 to 400 as 0 to 1: levels of the threshold network are known."""


class Levels(nn.Module):
    """Liver from 75 HU on, tumour from 225 on, or from 210 without liver; no other classes."""

    def __init__(self, in_channels: int = 1, num_classes: int = 3) -> None:
        super().__init__()
        self.classes = num_classes
        self.steepness = nn.Parameter(torch.tensor(40.0))

    def forward(self, image: Tensor) -> Tensor:
        known = [torch.zeros_like(image), image - 0.35, 10 * (image - 0.62)]
        never = [torch.full_like(image, -9.0)] * (self.classes - 3)
        return self.steepness * torch.cat(known + never, dim=1)


def checkpoint(path: Path, *, known: bool = True, **changed: Any) -> Path:
    """As Lightning writes it."""
    settings = ModelTrainingConfig(
        model_name=f"{__name__}.Levels", num_classes=changed.pop("num_classes", 3), **changed
    )
    hyper = {"config": plain(settings), "preprocessing": plain(SETTINGS)} if known else {}
    weights = {f"model.{k}": v for k, v in Levels().state_dict().items()}
    facts = {"state_dict": weights, "hyper_parameters": hyper, "epoch": 3, "global_step": 12}
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(facts | {"pytorch-lightning_version": "2.5.0"}, path)
    return path


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two scans whose axes are turned and flipped, prepared, and a checkpoint."""
    root = tmp_path_factory.mktemp("world")
    rng = np.random.default_rng(0)
    affine = np.array([[0, -1.2, 0, 5], [1.0, 0, 0, -3], [0, 0, 2.0, 7], [0, 0, 0, 1]])
    for name in ("liver_0", "liver_1"):
        image, ids = draw(rng)
        for folder, array in (("imagesTr", image), ("labelsTr", ids)):
            (root / "raw" / folder).mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(array, affine), root / "raw" / folder / f"{name}.nii.gz")
    prepare_tree(root / "raw", "medical_decathlon", root / "tree", SETTINGS)
    checkpoint(root / "last.ckpt")
    return root


def config(world: Path, out: Path, **changed: Any) -> ModelPredictionConfig:
    given = {"checkpoint_path": world / "last.ckpt", "input_dir": world / "tree" / "test"}
    return ModelPredictionConfig(**{**given, "output_dir": out, "device": "cpu", **changed})


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return 2 * float((one & other).sum()) / float(one.sum() + other.sum())


def test_masks_lie_on_the_grid_of_the_scan_and_show_what_is_there(world: Path, tmp_path: Path):
    assert predict_folder(config(world, tmp_path)) == {}
    for name in ("liver_0", "liver_1"):
        found = nib.load(tmp_path / f"{name}_pred.nii.gz")
        scan = nib.load(world / "raw" / "labelsTr" / f"{name}.nii.gz")
        np.testing.assert_allclose(found.affine, scan.affine, atol=1e-5)
        assert (found.shape, found.get_data_dtype()) == (scan.shape, np.uint8)
        ids, true = np.asarray(found.dataobj), np.asarray(scan.dataobj)
        assert dice(ids > 0, true > 0) > 0.9
        assert dice(ids == 2, true == 2) > 0.8


@pytest.mark.parametrize("patch", [(10, 12, 7), (40, 40, 40), (12, 12, 1)])
def test_windows_are_those_of_the_training_and_change_no_mask(world: Path, tmp_path: Path, patch):
    """The network looks at each voxel alone; flat windows are slices for one in 2-D."""
    ckpt = checkpoint(tmp_path / "a.ckpt", patch_size=patch)
    predict_folder(config(world, tmp_path / "whole"))
    predict_folder(config(world, tmp_path / "cut", checkpoint_path=ckpt, batch_size=3))
    for name in ("liver_0", "liver_1"):
        one, other = (nib.load(tmp_path / k / f"{name}_pred.nii.gz") for k in ("whole", "cut"))
        np.testing.assert_array_equal(np.asarray(one.dataobj), np.asarray(other.dataobj))


def test_raw_scans_are_prepared_as_those_of_the_training_were(world: Path, tmp_path: Path):
    predict_folder(config(world, tmp_path / "tree"))
    predict_folder(config(world, tmp_path / "raw", input_dir=world / "raw" / "imagesTr"))
    for name in ("liver_0", "liver_1"):
        one, other = (nib.load(tmp_path / k / f"{name}_pred.nii.gz") for k in ("tree", "raw"))
        np.testing.assert_allclose(one.affine, other.affine, atol=1e-5)
        np.testing.assert_array_equal(np.asarray(one.dataobj), np.asarray(other.dataobj))


def test_raw_scans_want_a_checkpoint_that_knows_how_they_are_prepared(world: Path, tmp_path: Path):
    bare = checkpoint(tmp_path / "bare.ckpt", known=False)
    asked = config(world, tmp_path / "out", input_dir=world / "raw" / "imagesTr")
    asked.checkpoint_path, asked.model_name, asked.num_classes = bare, f"{__name__}.Levels", 3
    failures = predict_folder(asked)
    assert "does not say how scans were prepared for it. Fix: " in failures["liver_0"]


def test_probabilities_and_logits_are_those_of_the_mask_on_its_grid(world: Path, tmp_path: Path):
    wanted = {"save_probabilities": True, "save_logits": True}
    predict_folder(config(world, tmp_path, **wanted))
    mask, prob, logits = (
        nib.load(tmp_path / f"liver_0_{kind}.nii.gz") for kind in ("pred", "prob", "logits")
    )
    assert prob.shape == logits.shape == (*mask.shape, 3)
    ids, shares, scores = (np.asarray(file.dataobj) for file in (mask, prob, logits))
    np.testing.assert_array_equal(scores.argmax(-1), ids)
    np.testing.assert_allclose(shares.sum(-1), 1, atol=1e-5)
    np.testing.assert_allclose(torch.tensor(scores).softmax(-1), shares, atol=1e-5)
    np.testing.assert_allclose(prob.affine, mask.affine)


@pytest.mark.parametrize("classes", [2, 3, 14])
def test_one_structure_keeps_its_own_number(world: Path, tmp_path: Path, monkeypatch, classes):
    class Target(Levels):
        """As many outputs as the training had; of two, the second is the tumour."""

        def forward(self, image: Tensor) -> Tensor:
            logits = super().forward(image)
            return logits[:, [0, 2]] if classes == 2 else logits

    monkeypatch.setattr(f"{__name__}.Levels", Target)
    ckpt = checkpoint(tmp_path / "a.ckpt", num_classes=classes, target_label=2)
    predict_folder(config(world, tmp_path / "out", checkpoint_path=ckpt))
    ids = np.asarray(nib.load(tmp_path / "out" / "liver_0_pred.nii.gz").dataobj)
    true = np.asarray(nib.load(world / "raw" / "labelsTr" / "liver_0.nii.gz").dataobj)
    assert set(np.unique(ids)) == {0, 2}
    assert dice(ids == 2, true == 2) > 0.8
    assert (tmp_path / "out" / "prediction.json").read_text().count("2") >= 1


def test_the_prediction_says_more_than_the_checkpoint_only_where_it_says_something(
    world: Path, tmp_path: Path
):
    found = trained.load_trained(config(world, tmp_path, target_label=2))
    assert found.ids == (0, 2)
    assert found.settings.num_classes == 3
    assert found.preprocessing == SETTINGS
    assert trained.load_trained(config(world, tmp_path)).ids == (0, 1, 2)


def test_a_tree_without_metadata_is_predicted_on_its_own_grid(world: Path, tmp_path: Path):
    image, ids = draw(np.random.default_rng(5))
    save(tmp_path / "in" / "x_image.nii.gz", ((image + 100) / 500).clip(0, 1), SPACING)
    predict_folder(config(world, tmp_path / "out", input_dir=tmp_path / "in"))
    found = nib.load(tmp_path / "out" / "x_pred.nii.gz")
    np.testing.assert_allclose(found.affine, np.diag([*SPACING, 1]), atol=1e-6)
    assert dice(np.asarray(found.dataobj) == 1, ids == 1) > 0.9


def test_a_bad_scan_is_named_and_the_rest_is_done(world: Path, tmp_path: Path, capsys):
    for name in ("liver_0", "liver_1"):
        source = world / "raw" / "imagesTr" / f"{name}.nii.gz"
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / source.name).write_bytes(source.read_bytes())
    (tmp_path / "in" / "broken.nii.gz").write_bytes(b"nothing")
    words = ["--checkpoint_path", str(world / "last.ckpt"), "--device", "cpu"]
    places = ["--input_dir", str(tmp_path / "in"), "--output_dir", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as left:
        run_prediction([*words, *places])
    assert left.value.code == 2
    assert "broken.nii.gz: not a gzip file" in capsys.readouterr().err
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "prediction.json", "liver_0_pred.nii.gz", "liver_1_pred.nii.gz",
    }  # fmt: skip


def test_a_rerun_does_what_is_missing_and_mixes_no_networks(world: Path, tmp_path: Path):
    asked = config(world, tmp_path)
    predict_folder(asked)
    first = tmp_path / "liver_0_pred.nii.gz"
    first.write_bytes(b"mended by hand")
    (tmp_path / "liver_1_pred.nii.gz").unlink()
    seen: list[str] = []
    predict_folder(asked, lambda scans: [seen.append(s.id) or s for s in scans])
    assert seen == ["liver_1"]
    assert first.read_bytes() == b"mended by hand"
    asked.save_probabilities = True
    predict_folder(asked)
    assert first.read_bytes() == b"mended by hand"
    assert (tmp_path / "liver_0_prob.nii.gz").is_file()
    asked.target_label = 2
    with pytest.raises(DataError, match=r"another checkpoint or other settings \(labels differs\)"):
        predict_folder(asked)


def test_windows_in_slabs_say_what_the_whole_says():
    """Logits that are the image itself: the padding is left out, the rest is interpolated."""
    rng = np.random.default_rng(0)
    image = rng.normal(size=(1, 12, 10, 9)).astype(np.float32)
    box = ((2, 11), (0, 10), (3, 8))

    def network(crops: Tensor) -> Tensor:
        return torch.cat([crops, -crops], dim=1)

    def found(patch: tuple[int, ...], shape: tuple[int, ...], axis: int | None = None) -> Any:
        windows = Windows(patch=patch, slice_axis=axis)
        looks = {"channels": 2, "box": box, "shape": shape, "keep_logits": True}
        return draw_mask(network, image, windows, **looks)

    inner = image[0, 2:11, :, 3:8]
    same = found((5, 16, 4), inner.shape)
    np.testing.assert_allclose(same.logits[0], inner, atol=1e-5)
    np.testing.assert_array_equal(same.mask, inner < 0)
    whole, flat = (found(p, (18, 20, 10), a) for p, a in (((12, 10, 9), None), ((6, 10, 1), 2)))
    np.testing.assert_allclose(whole.logits, flat.logits, atol=1e-5)
    np.testing.assert_array_equal(whole.mask, whole.logits.argmax(0))
    assert whole.logits.shape == (2, 18, 20, 10)


def test_beyond_an_image_that_is_smaller_than_a_window_lies_air():
    seen: list[Tensor] = []

    def network(crops: Tensor) -> Tensor:
        seen.append(crops.clone())
        return torch.cat([crops, crops], dim=1)

    image = np.full((1, 4, 4, 4), 2.0, np.float32)
    image[0, 0, 0, 0] = -1.5
    windows = Windows(patch=(6, 4, 4))
    draw_mask(network, image, windows, channels=2, box=((0, 4),) * 3, shape=(4, 4, 4))
    assert (seen[0][0, 0, [0, -1]] == -1.5).all()


def test_what_is_no_checkpoint_of_that_network_is_one_message(world: Path, tmp_path: Path):
    asked = config(world, tmp_path, checkpoint_path=tmp_path / "lost.ckpt")
    with pytest.raises(DataError, match=r"lost\.ckpt: no such file"):
        predict_folder(asked)
    (tmp_path / "text.ckpt").write_text("nothing")
    asked.checkpoint_path = tmp_path / "text.ckpt"
    with pytest.raises(DataError, match=r"not a readable file of torch\.save"):
        predict_folder(asked)
    wrong = checkpoint(tmp_path / "wrong.ckpt")
    asked.checkpoint_path, asked.model_name = wrong, "unet3d"
    with pytest.raises(DataError, match="the weights do not fit unet3d with 3 classes"):
        predict_folder(asked)


def test_scans_of_a_folder_have_the_ids_of_their_files(tmp_path: Path):
    with pytest.raises(DataError, match="no such folder"):
        find_scans(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"no scans here\. Fix: "):
        find_scans(tmp_path)
    for name in ("b.nii", "a.1.nii.gz", ".c.nii"):
        (tmp_path / name).write_bytes(b"")
    assert [(scan.id, scan.raw) for scan in find_scans(tmp_path)] == [("a.1", True), ("b", True)]
    (tmp_path / "b.nii.gz").write_bytes(b"")
    with pytest.raises(DataError, match=r"b\.nii and b\.nii\.gz are one scan"):
        find_scans(tmp_path)


def test_without_a_card_the_processor_predicts_and_says_so(world: Path, tmp_path: Path, caplog):
    asked = config(world, tmp_path, device="cuda")
    if torch.cuda.is_available():
        assert prediction._device(asked) == "cuda"
    else:
        with caplog.at_level("INFO", logger="delineate"):
            assert prediction._device(asked) == "cpu"
        assert "There is no CUDA card here" in caplog.text
    asked.gpus = 0
    assert prediction._device(asked) == "cpu"
