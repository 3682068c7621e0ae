"""What a training begins with: a network that can grow computes the same, others get what fits."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from finished_runs import PLAN, finish, make, read_json
from torch import Tensor, nn

from delineate.assemble import assemble_network
from delineate.beginning import start_network
from delineate.config import Config, Data, Part
from delineate.config.schema import Start
from delineate.contracts import Output
from delineate.engine.weights import load_weights, save_weights
from delineate.errors import DataError
from delineate.labels import Labels
from delineate.plan import Plan
from delineate.run_folder import RunFolder

SMALL = {"base_filters": 8, "depth": 2, "blocks": (1,), "attention": False, "transformer": False}
LARGE = {"base_filters": 16, "depth": 3, "blocks": (1,), "attention": True, "transformer": True}
HYBRID = "HybridCNNTransformer"


def begin(folder: Path, weights: Path, part: Part, plan: Plan = PLAN) -> nn.Module:
    """The network of a training in `folder` before its first step."""
    config = Config(
        data=Data(root=Path("scans")), model=part, start=Start(weights=weights), run_dir=folder
    )
    network = assemble_network(config, plan)
    folder.mkdir()
    start_network(network, config, plan, run=RunFolder(folder))
    return network.eval()


def hybrid(**arguments: Any) -> Part:
    return Part(name=HYBRID, **arguments)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return finish(tmp_path / "small", tmp_path / "scans", model=hybrid(**SMALL))


@torch.no_grad()
def logits(network: nn.Module) -> Tensor:
    output: Output = network(torch.randn(2, 1, 16, 16, 16, generator=torch.Generator()))
    assert output.logits is not None
    return output.logits


def test_a_network_that_can_grow_computes_what_the_run_before_it_did(tmp_path: Path, small: Path):
    grown = begin(tmp_path / "large", small, hybrid(**LARGE))
    before = make(HYBRID, **SMALL)
    load_weights(before, RunFolder(small).weights)
    torch.testing.assert_close(logits(grown), logits(before), rtol=1e-4, atol=1e-5)
    assert logits(before).std() > 0
    found = read_json(tmp_path / "large" / "start.json")
    assert found["proof"]["exact"]
    assert found["proof"]["difference"] <= 1e-4 * found["proof"]["scale"]
    weights = RunFolder(small).weights.read_bytes()
    assert found["sha256"] == hashlib.sha256(weights).hexdigest()
    assert {row["status"] for row in found["weights"]} == {"loaded", "adapted", "left"}


def test_for_other_classes_the_weights_that_fit_are_taken(tmp_path: Path, small: Path):
    plan = replace(PLAN, labels=Labels.from_names({"cord": 1, "stroke": 2, "oedema": 4}))
    begin(tmp_path / "other", small, hybrid(**SMALL), plan)
    found = read_json(tmp_path / "other" / "start.json")
    assert "proof" not in found
    assert found["shares"]["loaded"] > 0.5


def test_weights_of_another_network_are_matched(tmp_path: Path):
    before = finish(tmp_path / "before", tmp_path / "scans", model=Part(name="UNet"))
    begin(
        tmp_path / "after", before, Part.model_validate({"name": "UNet", "deep_supervision": True})
    )
    found = read_json(tmp_path / "after" / "start.json")
    assert "proof" not in found
    assert found["shares"]["loaded"] > 0.9


def test_a_file_of_weights_is_matched_too(tmp_path: Path, small: Path):
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(RunFolder(small).weights.read_bytes())
    begin(tmp_path / "same", weights, hybrid(**SMALL))
    found = read_json(tmp_path / "same" / "start.json")
    assert "proof" not in found
    assert found["shares"]["loaded"] == 1
    assert found["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()


def test_weights_that_are_no_numbers_are_refused_with_their_run(tmp_path: Path):
    broken = finish(tmp_path / "broken", tmp_path / "scans", model=hybrid(**SMALL))
    network = make(HYBRID, **SMALL)
    with torch.no_grad():
        next(network.parameters()).fill_(torch.nan)
    save_weights(RunFolder(broken).weights, network.state_dict(), {})
    with pytest.raises(DataError, match=f"^{broken}: '.*' of the smaller network holds values"):
        begin(tmp_path / "after", broken, hybrid(**LARGE))


def test_without_weights_nothing_is_done(tmp_path: Path):
    config = Config(data=Data(root=Path("scans")))
    network = assemble_network(config, PLAN)
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    start_network(network, config, PLAN, run=RunFolder(tmp_path))
    assert all((weight == before[name]).all() for name, weight in network.state_dict().items())
    assert not (tmp_path / "start.json").exists()
