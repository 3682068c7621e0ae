"""One part a sample, each as often, on as many channels as are wanted."""

import numpy as np
import pytest
import torch

from delineate.augment import Frame, GaussianNoise, IntensityShift, OneOf

FRAME = Frame(channels=3, patch=(6, 5), spacing=(1.0, 1.0))
PARTS = [
    {"name": "IntensityShift", "offset": [5.0, 6.0]},
    {"name": "Brightness", "factor": [2.0, 3.0]},
]


def test_every_part_is_drawn_as_often():
    rng = np.random.default_rng(0)
    part = OneOf(parts=[*PARTS, {"name": "GaussianNoise"}], probability=0.6)
    draws = [part.draw(rng, FRAME) for _ in range(3000)]
    drawn = np.array([d["part"] for d in draws if d is not None])
    assert len(drawn) / 3000 == pytest.approx(0.6, abs=0.03)
    np.testing.assert_allclose(np.bincount(drawn) / len(drawn), 1 / 3, atol=0.04)


def test_the_part_that_was_drawn_is_the_one_that_is_applied():
    image = torch.rand(2, 3, 6, 5) + 1
    part = OneOf(parts=PARTS, probability=1)
    shift, factor = {"offset": [5.0, 5.5, 6.0]}, {"factor": [2.0, 2.5, 3.0]}
    changed = image.clone()
    part.change(changed, [{"part": 0, "draw": shift}, {"part": 1, "draw": factor}], (1.0, 1.0))
    torch.testing.assert_close(changed[0], image[0] + torch.tensor([5.0, 5.5, 6.0])[:, None, None])
    torch.testing.assert_close(changed[1], image[1] * torch.tensor([2.0, 2.5, 3.0])[:, None, None])


@pytest.mark.parametrize("kind", [GaussianNoise(deviation=(1.0, 1.0)), IntensityShift()])
def test_only_the_first_channels_change(kind):
    image = torch.rand(1, 3, 6, 5)
    part = OneOf(parts=[kind], channels=1, probability=1)
    changed = image.clone()
    part.change(changed, [part.values(np.random.default_rng(0), FRAME)], (1.0, 1.0))
    assert (changed[:, 0] != image[:, 0]).all()
    assert torch.equal(changed[:, 1:], image[:, 1:])


def test_a_transform_may_be_handed_in_and_its_own_probability_does_not_matter():
    rng = np.random.default_rng(0)
    part = OneOf(parts=[IntensityShift(probability=0)], probability=1)
    assert all(part.draw(rng, FRAME) is not None for _ in range(20))


def test_what_is_no_part_is_refused():
    with pytest.raises(ValueError) as error:
        OneOf(parts=[{"name": "Gauss"}])
    assert str(error.value).startswith("OneOf: there is no part 'Gauss'. Fix: one of BiasField, B")
    with pytest.raises(ValueError) as error:
        OneOf(parts=[])
    assert str(error.value) == "OneOf: parts is empty. Fix: name some."
    with pytest.raises(ValueError) as error:
        OneOf(parts=PARTS, channels=0)
    assert str(error.value) == "OneOf: channels is 0. Fix: at least 1, or null for all."
