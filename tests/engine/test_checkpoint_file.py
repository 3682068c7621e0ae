import os
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import nn

from delineate.engine.checkpoint_file import read_checkpoint, write_checkpoint
from delineate.errors import DataError

CONTENT = {"epoch": 3, "weights": {"a": torch.arange(6.0).view(2, 3)}, "names": ("x", None, 2.5)}


class Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("harm",)


def refusal(path: Path, *needed: str) -> str:
    with pytest.raises(DataError) as caught:
        read_checkpoint(path, needed, give="a good one")
    return str(caught.value)


@pytest.mark.parametrize("zipped", [True, False])
def test_what_torch_saves_is_read(tmp_path: Path, zipped: bool):
    path = tmp_path / "a.pth"
    torch.save(CONTENT, path, _use_new_zipfile_serialization=zipped)
    found = read_checkpoint(path, ("epoch", "weights"), give="a good one")
    assert torch.equal(found["weights"]["a"], CONTENT["weights"]["a"])
    assert found["names"] == CONTENT["names"]


def test_what_is_no_such_file_is_refused_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    path = Path("a.pth")
    assert refusal(path) == "a.pth: no such file. Fix: give a good one."
    torch.save(CONTENT, path)
    assert refusal(path, "epoch", "loops") == "a.pth: has no 'loops'. Fix: give a good one."
    torch.save([1], path)
    assert refusal(path, "epoch") == "a.pth: has no 'epoch'. Fix: give a good one."
    torch.save({"epoch": Hostile()}, path)
    assert refusal(path) == (
        "a.pth: not a readable checkpoint (it holds posix.mkdir, and nothing in a file is run). "
        "Fix: give a good one."
    )
    assert not Path("harm").exists()
    for raw in (b"", b"no weights", b"PK\x03\x04"):
        path.write_bytes(raw)
        assert refusal(path) == (
            "a.pth: not a readable checkpoint (it is damaged, or not of torch.save). "
            "Fix: give a good one."
        )


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("zipped", [True, False])
def test_damage_anywhere_is_told_or_does_no_harm(tmp_path: Path, zipped: bool):
    path = tmp_path / "a.pth"
    torch.save(CONTENT, path, _use_new_zipfile_serialization=zipped)
    whole, rng = path.read_bytes(), random.Random(0)
    told = 0
    for _ in range(150):
        raw = bytearray(whole[: rng.randrange(len(whole)) if rng.random() < 0.2 else None])
        for place in rng.sample(range(min(len(raw), 600)), k=min(len(raw), 2)):
            raw[place] = rng.randrange(256)
        path.write_bytes(raw)
        try:
            read_checkpoint(path, (), give="a good one")
        except DataError:
            told += 1
    assert told > 50


def test_what_is_written_is_what_plain_pytorch_goes_on_with(tmp_path: Path):
    network = nn.Linear(2, 1)
    optimizer = torch.optim.AdamW(
        [{"params": [network.bias], "weight_decay": 0.0}, {"params": [network.weight]}]
    )
    network(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    task = SimpleNamespace(
        network=network, optimizer=optimizer, schedule=None, clock=SimpleNamespace(progress=0.5)
    )
    path = tmp_path / "a.pth"
    facts = {"is_best": True}
    weights = network.state_dict()
    write_checkpoint(path, cast(Any, task), epoch=4, weights=weights, facts=facts)
    found = torch.load(path, weights_only=True)
    assert list(found) == [
        *("epoch", "model_state_dict", "optimizer_state_dict", "scheduler_state_dict", "is_best")
    ]
    assert found["scheduler_state_dict"] == {"progress": 0.5}
    other = nn.Linear(2, 1)
    other.load_state_dict(found["model_state_dict"])
    plain = torch.optim.AdamW(other.parameters())
    plain.load_state_dict(found["optimizer_state_dict"])
    assert torch.equal(plain.state[other.bias]["exp_avg"], optimizer.state[network.bias]["exp_avg"])
