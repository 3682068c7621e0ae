"""torch.export: the same scores from a file that needs no delineate, for batches of any size."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from finished_runs import PLAN, changed, make
from torch import nn

import delineate
from delineate.errors import ConfigError
from delineate.export import export_program, noise_sample
from delineate.export.scores import scores_of
from delineate.inference.model import Model
from delineate.labels import Labels
from delineate.plan import Network, Plan


@pytest.fixture(scope="module")
def unet() -> Model:
    return Model(networks=(make("UNet", deep_supervision=True),), plan=PLAN)


@pytest.fixture(scope="module")
def written(unet: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "model.pt2"
    difference = export_program(unet, path, sample=noise_sample(PLAN))
    assert difference.largest <= 1e-5 * difference.scale
    assert difference.changed == 0
    return path


def batch_of_five() -> torch.Tensor:
    return torch.randn(5, 1, 16, 16, 16, generator=torch.Generator().manual_seed(3))


def test_batches_of_any_size_give_the_trained_networks_scores(unet: Model, written: Path):
    program, batch = torch.export.load(written).module(), batch_of_five()
    with torch.no_grad():
        own = unet.networks[0](batch).logits
        for number in (1, 5):
            torch.testing.assert_close(program(batch[:number]), own[:number], atol=1e-4, rtol=1e-4)


@pytest.mark.slow
def test_the_file_runs_without_delineate(unet: Model, written: Path, tmp_path: Path):
    torch.save(batch_of_five(), tmp_path / "in.pt")
    code = (
        "import sys, torch\n"
        f"program = torch.export.load({str(written)!r}).module()\n"
        f"batch = torch.load({str(tmp_path / 'in.pt')!r})\n"
        f"torch.save(program(batch), {str(tmp_path / 'out.pt')!r})\n"
        "assert 'delineate' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with torch.no_grad():
        own = unet.networks[0](batch_of_five()).logits
    torch.testing.assert_close(torch.load(tmp_path / "out.pt"), own, atol=1e-4, rtol=1e-4)


def test_no_folder_of_this_machine_is_in_the_file(written: Path):
    places = [str(Path(delineate.__file__).parent), str(Path.home()), str(written.parent)]
    with zipfile.ZipFile(written) as file:
        for name in file.namelist():
            data = file.read(name)
            assert not [place for place in places if place.encode() in data], name


def test_the_description_says_what_goes_in_and_what_comes_out(written: Path):
    said = json.loads(written.with_suffix(".json").read_text())
    assert said["input"]["shape"] == ["batch", 1, 16, 16, 16]
    assert said["output"]["shape"] == ["batch", 3, 16, 16, 16]
    assert said["output"]["channels"] == ["background", "cord", "lesion"]
    assert said["decision"]["ids"] == [1, 3]
    assert [step["step"] for step in said["preprocessing"]][-1] == "resample"
    assert said["compared"]["voxels_of_another_class"] == 0


def test_another_suffix_is_refused(unet: Model, tmp_path: Path):
    with pytest.raises(ConfigError, match=r"must end in \.pt2\. Fix: -o model\.pt2"):
        export_program(unet, tmp_path / "model.zip", sample=noise_sample(PLAN))


def test_several_networks_become_the_mean_of_their_probabilities():
    networks = (make("UNet"), make("UNet", seed=1))
    batch = torch.randn(2, 1, 16, 16, 16)
    for combine, kind in (("probabilities", "probabilities"), ("logits", "logits")):
        scores = scores_of(Model(networks=networks, plan=PLAN, combine=combine))
        with torch.no_grad():
            own = torch.stack([network(batch).logits for network in networks])
            found = scores.network(batch)
        expected = own.softmax(2).mean(0) if kind == "probabilities" else own.mean(0)
        torch.testing.assert_close(found, expected)
        assert (scores.kind, scores.threshold) == (kind, None)


def test_overlapping_classes_are_told_apart_by_a_threshold():
    labels = Labels.from_names({"whole": 1, "core": 2}, overlapping=True)
    plan = changed(labels=labels)
    one = Model(networks=(make("UNet", plan),), plan=plan)
    two = Model(networks=(make("UNet", plan), make("UNet", plan, 1)), plan=plan)
    assert (scores_of(one).threshold, scores_of(two).threshold) == (0.0, 0.5)


def test_a_vote_over_whole_masks_is_no_network():
    networks = (make("UNet"), make("UNet", seed=1))
    with pytest.raises(ConfigError, match="combined by 'vote' over whole masks"):
        scores_of(Model(networks=networks, plan=PLAN, combine="vote"))


class Branching(nn.Module):
    """Looks at its values, which no graph can follow."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image if image.sum() > 0 else -image


def test_a_network_that_cannot_be_followed_is_a_message(tmp_path: Path):
    model = Model(networks=(Branching(),), plan=PLAN)
    with pytest.raises(ConfigError, match=r"torch\.export cannot follow this network"):
        export_program(model, tmp_path / "m.pt2", sample=noise_sample(PLAN))
    assert not list(tmp_path.iterdir())


FLAT = changed(
    patch=(32, 1, 32),
    network=Network(
        features=(8, 16, 32),
        strides=((1, 1), (2, 2), (2, 2)),
        kernels=((3, 3),) * 3,
        convolutions=(2, 2, 2),
    ),
)


@pytest.mark.slow
@pytest.mark.parametrize("plan", [PLAN, FLAT], ids=["volumes", "slices"])
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("AttentionUNet", {}),
        ("MedNeXt", {"width": 8}),
        ("MultiTaskUNet", {"presence": 2}),
        ("ResNetUNet", {"depth": 18}),
        ("ResidualUNet", {}),
        ("SegResNet", {}),
        ("UNet", {}),
    ],
)
def test_every_network_that_draws_masks_can_be_exported(
    name: str, arguments: dict, plan: Plan, tmp_path: Path
):
    model = Model(networks=(make(name, plan, **arguments),), plan=plan)
    difference = export_program(model, tmp_path / "m.pt2", sample=noise_sample(plan))
    assert difference.largest <= 1e-4 * difference.scale


@pytest.mark.slow
def test_an_ensemble_can_be_exported(tmp_path: Path):
    model = Model(networks=(make("UNet"), make("SegResNet")), plan=PLAN)
    difference = export_program(model, tmp_path / "m.pt2", sample=noise_sample(PLAN))
    assert difference.changed == 0
