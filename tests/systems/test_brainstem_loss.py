"""The documented loss: the same terms as a training's, and a minimum that no id moves."""

import pytest
import torch
import torch.nn.functional as F

from delineate.assemble import assemble_loss
from delineate.config import Config
from delineate.contracts import Output, Target
from delineate.labels import Class, Labels
from delineate.losses import Dice, Edges, Focal, HierarchicalFocal
from delineate.plan import Network, Plan
from delineate.systems.brainstem.loss import HierarchicalLoss, terms
from delineate.systems.brainstem.settings import TrainingConfig

LABELS = Labels(
    classes=(
        Class(name="brainstem", id=9),
        Class(name="midbrain", parent="brainstem"),
        Class(name="pons", parent="brainstem"),
        Class(name="red_nucleus", id=4, parent="midbrain"),
        Class(name="inferior_colliculus", id=85, parent="midbrain"),
        Class(name="pontine_nuclei", id=29, parent="pons"),
        Class(name="locus_coeruleus", id=121, parent="pons"),
    )
)
K = LABELS.channels


def sample():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, K, 4, 5, 3, generator=generator)
    return logits, torch.randint(-1, K, (2, 4, 5, 3), generator=generator)


def test_the_total_is_the_documented_sum_of_terms():
    logits, ids = sample()
    found = HierarchicalLoss(LABELS, TrainingConfig())(logits, ids)
    pair = Output(logits=logits), Target(mask=ids)
    focal = 0.25 * Focal(gamma=2.0)(*pair)
    boundary, hierarchy = Edges()(*pair), 0.25 * HierarchicalFocal(labels=LABELS)(*pair)
    expected = {
        "total_loss": focal + 0.2 * boundary + 0.3 * hierarchy,
        "focal_loss": focal,
        "boundary_loss": boundary,
        "hierarchy_loss": hierarchy,
    }
    assert list(found) == list(expected)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, msg=name)
    torch.testing.assert_close(
        HierarchicalLoss(LABELS, TrainingConfig())(logits, ids[:, None]), found
    )


def test_dice_is_added_where_it_is_asked_for():
    logits, ids = sample()
    documented = HierarchicalLoss(LABELS, TrainingConfig())(logits, ids)
    found = HierarchicalLoss(LABELS, TrainingConfig(dice_weight=0.5))(logits, ids)
    dice = Dice(batch=True)(Output(logits=logits), Target(mask=ids))
    torch.testing.assert_close(found.pop("dice_loss"), dice)
    torch.testing.assert_close(found.pop("total_loss"), documented.pop("total_loss") + 0.5 * dice)
    torch.testing.assert_close(found, documented)


def test_focal_is_alpha_times_a_power_of_doubt_times_the_cross_entropy():
    logits, ids = sample()
    entropy = F.cross_entropy(logits, ids, ignore_index=-1, reduction="none")
    expected = (0.3 * (1 - (-entropy).exp()) ** 1.5 * entropy)[ids >= 0].mean()
    found = HierarchicalLoss(LABELS, TrainingConfig(focal_alpha=0.3, focal_gamma=1.5))(logits, ids)
    torch.testing.assert_close(found["focal_loss"], expected)


def test_a_training_by_configuration_has_the_same_total():
    logits, ids = sample()
    config = Config.model_validate({"data": {"root": "."}, "loss": terms(TrainingConfig(), LABELS)})
    network = Network(features=(2,), strides=((1, 1, 1),), kernels=((3, 3, 3),), convolutions=(1,))
    plan = Plan(
        channels=("image",), labels=LABELS, spacing=(1.0,) * 3, shape=(8, 8, 8),
        crop_nonzero=False, normalisation=(), separate_axis=None, patch=(4, 5, 3), batch_size=2,
        network=network, memory_gb=0.1,
    )  # fmt: skip
    found = assemble_loss(config, plan)(Output(logits=logits), Target(mask=ids))
    assert list(found) == ["Focal", "Edges", "HierarchicalFocal"]
    total = HierarchicalLoss(LABELS, TrainingConfig())(logits, ids)["total_loss"]
    torch.testing.assert_close(sum(found.values()), total)


@pytest.mark.parametrize("label", range(K))
def test_the_truth_costs_nothing_whatever_the_class(label):
    ids = torch.zeros(1, 6, 6, 6, dtype=torch.long)
    ids[0, 2:4, 1:5, 3:] = label
    sure = 90.0 * F.one_hot(ids, K).movedim(-1, 1)
    found = HierarchicalLoss(LABELS, TrainingConfig())(sure, ids)
    assert all(value < 1e-12 for value in found.values())


def test_weights_of_nothing_and_flat_labels_leave_terms_out(caplog):
    names = [entry["name"] for entry in terms(TrainingConfig(boundary_weight=0.0), LABELS)]
    assert names == ["Focal", "HierarchicalFocal"]
    flat = Labels.from_names({"a": 1, "b": 2})
    with caplog.at_level("INFO", logger="delineate"):
        assert [entry["name"] for entry in terms(TrainingConfig(), flat)] == ["Focal", "Edges"]
    assert "no class of the labels unites others: the loss has no hierarchy term" in caplog.text
    found = HierarchicalLoss(flat, TrainingConfig(boundary_weight=0.0))(
        torch.randn(1, 3, 4, 4), torch.ones(1, 4, 4).long()
    )
    assert found["boundary_loss"] == found["hierarchy_loss"] == 0
    assert found["total_loss"] == found["focal_loss"] > 0
