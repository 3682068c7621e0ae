"""The checkpoints of a cascade are found by their names; what is missing or mistaken is told."""

from pathlib import Path

import pytest
from spine_series import classifier, drawer

from delineate.errors import ConfigError, DataError
from delineate.systems.spine.cascade.settings import CascadeSettings, Gate
from delineate.systems.spine.cascade.weights_folder import open_networks
from delineate.systems.spine.prediction.answers import Answerer

NAMES = ("anatomy", "spine_location_view", "spine_sequence", "spinal_cord")


def opened(path: Path) -> Answerer:
    return drawer(1) if "segmentation" in str(path) else classifier(0, 165)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (*NAMES, "lesion_segmentation"):
        (tmp_path / f"{name}.ckpt").write_bytes(name.encode())
    return tmp_path


def test_five_names_are_enough_and_a_sixth_draws_the_cord(folder: Path):
    settings = CascadeSettings(weights=folder)
    found = open_networks(settings, opened)
    assert [stage.gate.name for stage in found.gates] == [g.name for g in settings.gates]
    assert found.cord is None
    assert len(set(found.checksums().values())) == 5
    cord = folder / "spinal_cord_segmentation"
    cord.mkdir()
    (cord / "epoch=003.ckpt").write_bytes(b"")
    with_cord = open_networks(settings, opened)
    assert with_cord.cord is not None
    assert with_cord.files["cord"] == cord / "epoch=003.ckpt"


def test_a_pruned_network_stands_in_where_it_is_the_only_one(folder: Path):
    pruned = (folder / "lesion_segmentation.ckpt").rename(folder / "pruned_lesion_segmentation.pt")
    assert open_networks(CascadeSettings(weights=folder), opened).files["lesion"] == pruned


def test_all_that_is_missing_is_told_at_once(folder: Path, tmp_path: Path):
    (folder / "anatomy.ckpt").unlink()
    (folder / "lesion_segmentation.ckpt").unlink()
    with pytest.raises(DataError, match=r"anatomy.ckpt, lesion_segmentation.ckpt not found; it h"):
        open_networks(CascadeSettings(weights=folder), opened)
    with pytest.raises(DataError, match=r"spinal_cord.ckpt, .* not found; no such folder"):
        open_networks(CascadeSettings(weights=tmp_path / "nowhere"), opened)


def test_one_of_several_checkpoints_is_not_guessed(folder: Path):
    (folder / "anatomy.ckpt").unlink()
    (folder / "anatomy").mkdir()
    for name in ("a.ckpt", "b.ckpt"):
        (folder / "anatomy" / name).write_bytes(b"")
    with pytest.raises(DataError, match=r"2 checkpoints: a.ckpt, b.ckpt"):
        open_networks(CascadeSettings(weights=folder), opened)


def test_a_network_in_the_place_of_another_is_told(folder: Path):
    with pytest.raises(
        ConfigError, match=r"trained for segmentation, but 'anatomy' .* classificat"
    ):
        open_networks(CascadeSettings(weights=folder), lambda path: drawer(1))
    small = CascadeSettings(weights=folder)
    with pytest.raises(ConfigError, match="anatomy: keeps 141, but its network knows 3 classes"):
        open_networks(small, lambda path: classifier(0, 3))
    twice = (Gate(name="anatomy", checkpoint="anatomy", keep=(1,)),) * 2
    with pytest.raises(ConfigError, match="two stages are called 'anatomy'"):
        open_networks(CascadeSettings(weights=folder, gates=twice), opened)
