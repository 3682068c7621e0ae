"""Every YAML that the package ships is a recipe that is listed, loads and builds.

But for the experiments of the spine system, which tests/systems/test_spine_shipped.py loads.
"""

from pathlib import Path

import pytest
import torch

import delineate
from delineate.config import build, check_parts, list_recipes, load_config, recipe_path
from delineate.labels import Class, Labels

PACKAGE = Path(delineate.__file__).parent
EXPERIMENTS = PACKAGE / "systems" / "spine" / "training"
SHIPPED = sorted(p for p in PACKAGE.rglob("*.y*ml") if EXPERIMENTS not in p.parents)
TOPOLOGY = {
    "features": (4, 8),
    "strides": ((1, 1, 1), (2, 2, 2)),
    "kernels": ((3, 3, 3), (3, 3, 3)),
    "convolutions": (1, 1),
}
NESTED = Labels(
    classes=(Class(name="whole", id=1), Class(name="part", id=2, parent="whole")),
)


def test_every_shipped_yaml_is_a_listed_recipe():
    assert SHIPPED
    assert sorted(recipe_path(name) for name in list_recipes()) == SHIPPED
    assert "starter" in list_recipes()


@pytest.mark.parametrize("name", list_recipes())
def test_a_recipe_says_what_it_is_for(name: str):
    assert list_recipes()[name].endswith(".")
    page = (PACKAGE / "recipes" / "README.md").read_text(encoding="utf-8")
    assert f"| `{name}` | {list_recipes()[name]} |" in page


@pytest.mark.parametrize("name", list_recipes())
def test_a_recipe_loads_and_each_of_its_parts_builds(name: str):
    config = load_config(name, ["data.root=scans"])
    check_parts(config)
    network = build(
        config.model, "delineate.models", in_channels=1, out_channels=3, spatial_dims=3, **TOPOLOGY
    )
    output = network(torch.zeros(1, 1, 8, 8, 8))
    assert output.logits.shape == (1, 3, 8, 8, 8)
    for term in config.loss:
        build(term, "delineate.losses", overlapping=False, labels=NESTED)
    for part in config.augment:
        build(part, "delineate.augment", mirror=(0, 1, 2), labels=NESTED)
    build(config.optimizer, "torch.optim", params=network.parameters())
    assert build(config.schedule, "delineate.engine.schedules")(1.0) < 1
