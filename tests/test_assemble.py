"""Every network of the house from its bare name and a plan alone."""

from pathlib import Path

import pytest
import torch

from delineate.assemble import assemble_network
from delineate.config import Config, Data, Part
from delineate.contracts import Output
from delineate.labels import Labels
from delineate.plan import Network, Normalisation, Plan

PLANS = {
    2: Network(
        features=(8, 16, 16),
        strides=((1, 1), (2, 2), (2, 2)),
        kernels=((3, 3),) * 3,
        convolutions=(2,) * 3,
    ),
    3: Network(
        features=(8, 16, 16),
        strides=((1, 1, 1), (2, 2, 1), (2, 2, 2)),
        kernels=((3, 3, 1), (3, 3, 3), (3, 3, 3)),
        convolutions=(2,) * 3,
    ),
}


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize(
    "name", ["UNet", "LightUNet", "AttentionUNet", "ResidualUNet", "SegResNet"]
)
def test_a_bare_name_and_a_plan_make_a_network(name, dims):
    plan = Plan(
        channels=("T1", "T2"),
        labels=Labels.from_names({"a": 1, "b": 2}),
        spacing=(1.0,) * dims,
        shape=(8,) * dims,
        crop_nonzero=False,
        normalisation=(Normalisation(kind="zscore"),) * 2,
        separate_axis=None,
        patch=(8,) * dims,
        batch_size=1,
        network=PLANS[dims],
        memory_gb=1.0,
    )
    model = Part(name=name, deep_supervision=True, checkpointing=True)

    network = assemble_network(Config(data=Data(root=Path("a")), model=model), plan)
    output = network(torch.randn(1, 2, *plan.patch))

    assert isinstance(output, Output)
    assert output.logits is not None
    assert output.logits.shape == (1, 3, *plan.patch)
    assert len(output.deep) == 1
