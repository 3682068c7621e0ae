import pytest
import torch
from torch import nn

from delineate.contracts import Output
from delineate.errors import DataError
from delineate.inference import Ensemble, average_weights
from delineate.inference.ensemble import BELOW_ALL


class Fixed(nn.Module):
    """Says the same whatever it is shown."""

    def __init__(self, *logits):
        super().__init__()
        self.logits = torch.tensor(logits)[None, :, None]

    def forward(self, image):
        return Output(logits=self.logits.expand(len(image), -1, image.shape[-1]))


IMAGE = torch.zeros(2, 1, 4)


def test_the_mean_is_of_probabilities_or_of_logits():
    members = Fixed(0.0, 2.0), Fixed(4.0, 0.0)
    mean = Ensemble(members, combine="probabilities", overlapping=False)(IMAGE)
    expected = sum(m(IMAGE).logits.softmax(1) for m in members) / 2
    torch.testing.assert_close(mean, expected)
    mean = Ensemble(members, combine="logits", overlapping=False)(IMAGE)
    torch.testing.assert_close(mean, torch.tensor([2.0, 1.0])[None, :, None].expand(2, 2, 4))


def test_overlapping_classes_are_averaged_one_by_one():
    members = Fixed(0.0, 2.0), Fixed(4.0, 0.0)
    mean = Ensemble(members, combine="probabilities", overlapping=True)(IMAGE)
    torch.testing.assert_close(mean, sum(m(IMAGE).logits.sigmoid() for m in members) / 2)


@pytest.mark.parametrize("overlapping", [False, True])
def test_disagreement_is_mutual_information_and_never_the_highest_channel(overlapping):
    sure = Fixed(60.0, -60.0), Fixed(-60.0, 60.0)
    found = Ensemble(sure, combine="probabilities", overlapping=overlapping, disagreement=True)(
        IMAGE
    )
    assert found.shape == (2, 3, 4)
    torch.testing.assert_close(found[:, 2] - BELOW_ALL, torch.ones(2, 4))
    assert (found.argmax(1) < 2).all()
    torn = Fixed(0.0, 0.0), Fixed(0.0, 0.0)
    found = Ensemble(torn, combine="probabilities", overlapping=overlapping, disagreement=True)(
        IMAGE
    )
    torch.testing.assert_close(found[:, 2] - BELOW_ALL, torch.zeros(2, 4))


def test_disagreement_is_not_measured_between_logits():
    with pytest.raises(ValueError, match="between probabilities, not logits"):
        Ensemble([Fixed(1.0)], combine="logits", overlapping=False, disagreement=True)


def test_a_network_without_logits_is_named():
    class Mute(nn.Module):
        def forward(self, image):
            return Output(logits=None)

    with pytest.raises(ValueError, match="puts out no logits"):
        Ensemble([Mute()], combine="logits", overlapping=False)(IMAGE)


def test_weights_and_running_figures_are_averaged_and_counts_are_kept():
    networks = [nn.Sequential(nn.Conv1d(1, 3, 1), nn.BatchNorm1d(3)) for _ in range(3)]
    for number, network in enumerate(networks, 1):
        for _ in range(number):
            network(torch.randn(4, 1, 5))
    states = [network.state_dict() for network in networks]
    mean = average_weights(states)
    for name in ("0.weight", "1.running_var", "1.bias"):
        torch.testing.assert_close(mean[name], sum(s[name] for s in states) / 3)
    assert mean["1.num_batches_tracked"] == 3
    networks[0].load_state_dict(mean)


def test_averaging_loses_nothing_to_half_precision():
    states = [{"w": torch.tensor([v], dtype=torch.float16)} for v in (60000.0, 60000.0, 2.0)]
    assert average_weights(states)["w"].item() == pytest.approx(40000, rel=1e-3)


def test_weights_of_another_architecture_are_refused():
    one, other = nn.Conv1d(1, 2, 1).state_dict(), nn.Conv1d(1, 3, 1).state_dict()
    with pytest.raises(DataError, match="weights 2 are of another architecture than weights 1"):
        average_weights([one, other])
    with pytest.raises(ValueError, match="no weights to average"):
        average_weights([])
