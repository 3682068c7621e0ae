"""Masks of new scans from a package or a checkpoint: whole volumes, in the ids of the atlas."""

from pathlib import Path

import numpy as np
import pytest
import torch
from brainstem_toys import settings, write_tree
from nibabel import nifti1

from delineate.assemble import assemble_network
from delineate.config import Config
from delineate.errors import ConfigError, DataError
from delineate.groundwork import NoBars
from delineate.inference import predict_volume
from delineate.io import read_volume
from delineate.systems.brainstem import InferenceConfig, auto_segment_brainstem
from delineate.systems.brainstem.network import network_entry
from delineate.systems.brainstem.prepared import prepare_tree
from delineate.systems.brainstem.settings import plain
from delineate.systems.brainstem.trained import checkpoint_facts, for_scans, open_trained
from delineate.systems.brainstem.translate import make_plan
from delineate.systems.brainstem.tree import read_tree


def write_checkpoint(folder: Path, **changes: object) -> Path:
    """best_model.pth of a network that has learnt nothing, and the tree beside it."""
    config = settings(**changes)
    tree = read_tree(write_tree(folder / "data"))
    plan = make_plan(config, prepare_tree(tree, config, folder / "out", bars=NoBars()))
    said = {"data": {"root": "."}, "model": network_entry(config, checkpointing=False)}
    engine = Config.model_validate(said)
    torch.manual_seed(0)
    network = assemble_network(engine, plan)
    content = {
        "epoch": 0,
        "model_state_dict": network.state_dict(),
        **checkpoint_facts(plain(config), for_scans(plan, config), engine),
    }
    torch.save(content, folder / "best_model.pth")
    return folder / "best_model.pth"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("trained"))


def test_a_file_is_segmented_on_its_own_axes(path: Path, tmp_path: Path):
    scan = path.parent / "data" / "nextbrain" / "T2w.nii.gz"
    config = InferenceConfig(
        model_path=path, output_dir=tmp_path / "masks", save_intermediates=True
    )
    found = auto_segment_brainstem(scan, config)
    stored = nifti1.load(scan)
    assert found.shape == stored.shape
    assert set(np.unique(found)) <= {0, 4, 9, 29, 85, 99}
    # What the engine says of the whole scan, in canonical axes; the file's first axis runs back.
    whole = predict_volume(open_trained(path), read_volume(str(scan))).mask.array[0]
    assert np.array_equal(found[::-1], whole)
    written = nifti1.load(tmp_path / "masks" / "T2w.nii.gz")
    assert np.array_equal(np.asarray(written.dataobj), found)
    assert np.allclose(written.affine, stored.affine)
    shares = np.asarray(nifti1.load(tmp_path / "masks" / "probabilities" / "T2w.nii").dataobj)
    assert shares.shape == (*found.shape, 6)
    ids = np.array([0, 4, 9, 29, 85, 99])
    assert np.mean(ids[shares.argmax(-1)] == found) > 0.999


def test_an_array_is_segmented_as_the_file_is_whatever_its_units(path: Path):
    scan = path.parent / "data" / "nextbrain" / "T2w.nii.gz"
    wide = InferenceConfig(model_path=path, stride=16)
    found = auto_segment_brainstem(scan, wide)
    array = read_volume(str(scan)).array[0]
    for volume in (torch.from_numpy(array.copy()), 7 * array[None] + 100):
        again = auto_segment_brainstem(volume, wide)
        assert np.mean(again[::-1] == found) > 0.999


def test_windows_are_as_they_are_asked_for(path: Path):
    array = np.random.default_rng(0).normal(size=(20, 18, 16)).astype(np.float32)
    one = InferenceConfig(model_path=path, patch_size=(20, 18, 16))
    found = auto_segment_brainstem(array, one)
    model = open_trained(path)
    z = torch.from_numpy((array - array.mean()) / array.std())[None, None]
    with torch.inference_mode():
        channels = model.networks[0](z).logits[0].argmax(0).numpy()
    assert np.mean(found == model.labels.decode(channels)) > 0.999
    with pytest.raises(ConfigError, match="a window of this model has 16 voxels"):
        auto_segment_brainstem(array, InferenceConfig(model_path=path, stride=17))


def test_gradients_are_added_to_scans_of_a_model_that_wants_them(tmp_path: Path):
    path = write_checkpoint(tmp_path, morphogen="channels")
    scan = tmp_path / "data" / "nextbrain" / "T2w.nii.gz"
    model = open_trained(path)
    assert model.channels == ("T2w", "AP", "DV", "ML")
    assert auto_segment_brainstem(scan, model_path=path).shape == nifti1.load(scan).shape


def test_without_a_model_nothing_is_guessed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"no trained model is there\. Fix: train one"):
        auto_segment_brainstem(np.zeros((4, 4, 4)))
    (tmp_path / "best_model.pth").write_bytes(b"nothing")
    with pytest.raises(DataError, match="not a readable checkpoint"):
        auto_segment_brainstem(np.zeros((4, 4, 4)), model_path="best_model.pth")
    torch.save({"epoch": 0, "model_state_dict": {}}, "best_model.pth")
    with pytest.raises(DataError, match="has no 'config'"):
        auto_segment_brainstem(np.zeros((4, 4, 4)), model_path="best_model.pth")


def test_what_is_no_volume_is_refused(path: Path):
    for shape in ((4, 4), (0, 4, 4)):
        with pytest.raises(DataError, match=rf"the volume is float64 of shape \({shape[0]}, 4"):
            auto_segment_brainstem(np.zeros(shape), model_path=path)
    with pytest.raises(ConfigError, match=r"config is a dict\. Fix: an InferenceConfig"):
        auto_segment_brainstem(np.zeros((4, 4, 4)), {"model_path": path})  # type: ignore[arg-type]


def test_scans_of_one_file_name_may_have_other_names_for_their_masks(path: Path, tmp_path: Path):
    scan = path.parent / "data" / "nextbrain" / "T2w.nii.gz"
    config = InferenceConfig(model_path=str(path), output_dir=str(tmp_path))
    auto_segment_brainstem(scan, config)
    auto_segment_brainstem(scan, config, name="sub-02")
    auto_segment_brainstem(np.zeros((16, 16, 16)), config)
    found = {file.name for file in tmp_path.iterdir()}
    assert found == {"T2w.nii.gz", "sub-02.nii.gz", "brainstem.nii.gz"}
