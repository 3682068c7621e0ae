"""What every transform owes: a batch equals its cases, replay, purity, randomness handed in."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from delineate import augment
from delineate.augment import Intensity, Sequence
from delineate.augment.paste import donor_of
from delineate.contracts import Batch, Target

CERTAIN = {
    "Affine": {"translation": 0.1, "anisotropy": 0.2},
    "AnatomicElastic": {"shares": {1: 0.5, 2: 0.1}},
    "BiasField": {},
    "Brightness": {},
    "Contrast": {},
    "CopyPaste": {"shift": 0.1},
    "CutMix": {},
    "Elastic": {},
    "Flip": {"mirror": (0, 2, 1)},
    "Gamma": {},
    "GaussianBlur": {"channel_probability": 0.7},
    "GaussianNoise": {},
    "Ghosting": {},
    "IntensityShift": {},
    "LowResolution": {"channel_probability": 0.7},
    "Motion": {},
    "OneOf": {"parts": [{"name": "GaussianNoise"}, {"name": "BiasField", "strength": [0.1, 0.2]}]},
    "PartialVolume": {},
    "RicianNoise": {},
    "StructureMix": {"chance": 1.0},
}
PASTING = ("CopyPaste", "CutMix", "StructureMix")
SPACES = {2: ((12, 10), (1.0, 1.5)), 3: ((12, 8, 10), (1.0, 2.0, 1.5))}
B, C = 4, 2

INTENSITIES = [n for n in CERTAIN if issubclass(getattr(augment, n), Intensity)]

every_transform = pytest.mark.parametrize("name", CERTAIN)
every_intensity = pytest.mark.parametrize("name", INTENSITIES)
both_dims = pytest.mark.parametrize("dims", [2, 3])


def make(name, **rest):
    return getattr(augment, name)(**CERTAIN[name], **rest)


def make_batch(dims, *, step=3):
    size, spacing = SPACES[dims]
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(-1, 3, (B, *size), generator=generator, dtype=torch.int8)
    return Batch(
        image=torch.randn(B, C, *size, generator=generator),
        target=Target(
            mask=ids,
            presence=torch.rand(B, 2, generator=generator).round(),
            distance=torch.randn(B, 3, *size, generator=generator),
        ),
        spacing=spacing,
        cases=tuple("abcd"),
        step=step,
    )


def sequence(transform, dims):
    return Sequence([transform], patch=[n - 2 for n in SPACES[dims][0]])


def tensors(batch):
    return [batch.image, batch.target.mask, batch.target.presence, batch.target.distance]


def only(batch, *slots):
    target, rows = batch.target, list(slots)
    return replace(
        batch,
        image=batch.image[rows],
        target=Target(
            mask=target.mask[rows], presence=target.presence[rows], distance=target.distance[rows]
        ),
        cases=tuple(batch.cases[slot] for slot in rows),
    )


def test_every_public_transform_is_tested_here():
    kinds = {"Geometric", "Intensity", "Transform", "Sequence", "Draw", "Frame"}
    assert set(augment.__all__) - kinds == set(CERTAIN)


@both_dims
@every_transform
def test_a_batch_equals_its_cases_one_by_one(name, dims):
    batch, chain = make_batch(dims), sequence(make(name, probability=0.7), dims)
    draws = chain.draw(batch, seed=5)
    assert any(d is not None for d in draws[0])
    together = chain.apply(batch, draws)
    for slot, draw in enumerate(draws[0]):
        if name in PASTING:  # the case and the one it takes from
            donor = slot if draw is None else donor_of(slot, draw, B)
            pair = chain.apply(only(batch, slot, donor), [[draw, None]])
            alone = only(pair, 0)
        else:
            alone = chain.apply(only(batch, slot), [[draw]])
        for a, b in zip(tensors(alone), tensors(only(together, slot)), strict=True):
            assert torch.equal(a, b)


@both_dims
@every_intensity
def test_one_kernel_for_many_samples_gives_the_same_values(name, dims):
    """The path that accelerators take."""
    transform = make(name, probability=1.0)
    batch = make_batch(dims)
    draws = Sequence([transform], patch=SPACES[dims][0]).draw(batch, seed=5)[0]
    together = batch.image.clone()
    transform.change(together, list(draws), batch.spacing)
    torch.testing.assert_close(together, transform.apply(batch, draws).image)


@both_dims
@every_transform
def test_a_sample_can_be_replayed_from_its_json(name, dims):
    batch, chain = make_batch(dims), sequence(make(name, probability=0.7), dims)
    draws = json.loads(json.dumps(chain.draw(batch, seed=5)))
    for a, b in zip(tensors(chain.apply(batch, draws)), tensors(chain(batch, seed=5)), strict=True):
        assert torch.equal(a, b)


@every_transform
def test_a_draw_depends_on_seed_step_and_slot_only(name):
    chain = sequence(make(name, probability=0.5 if name == "Flip" else 1.0), 3)
    batch = make_batch(3)
    draws = chain.draw(batch, seed=7)
    short = replace(only(batch, 0), image=batch.image[:2])
    assert [d[:2] for d in draws] == chain.draw(short, seed=7)
    assert draws != chain.draw(batch, seed=6)
    assert draws != chain.draw(replace(batch, step=4), seed=7)
    if name != "Flip":
        assert len({json.dumps(d) for d in draws[0]}) == B


@both_dims
@every_transform
def test_what_is_handed_in_stays_as_it_was_and_no_global_randomness_is_used(name, dims):
    batch, before, state = make_batch(dims), make_batch(dims), torch.get_rng_state()
    sequence(make(name, probability=1.0), dims)(batch, seed=5)
    assert torch.equal(torch.get_rng_state(), state)
    for a, b in zip(tensors(batch), tensors(before), strict=True):
        assert torch.equal(a, b)


@both_dims
@every_transform
def test_a_drawn_sample_changes_and_the_rest_is_cropped_in_the_middle(name, dims):
    batch, chain = make_batch(dims), sequence(make(name, probability=0.5), dims)
    draws = chain.draw(batch, seed=8)
    after = chain.apply(batch, draws)
    middle = (Ellipsis, *(slice(1, -1) for _ in range(dims)))
    assert after.image.shape == batch.image[middle].shape
    assert after.target.mask.dtype == batch.target.mask.dtype
    for slot, draw in enumerate(draws[0]):
        same = torch.equal(after.image[slot], batch.image[slot][middle])
        assert same == _does_nothing(draw)


def _does_nothing(draw):
    """No channel was drawn in a transform that draws channel by channel."""
    return draw is None or any(v == [None] * C for v in draw.values())


@every_intensity
def test_intensity_never_sees_the_target(name):
    transform = make(name, probability=1.0)
    batch = make_batch(3)
    draws = Sequence([transform], patch=SPACES[3][0]).draw(batch, seed=5)[0]
    assert transform.apply(batch, draws).target is batch.target


@every_transform
def test_the_share_of_samples_drawn_is_the_probability(name):
    transform = make(name, probability=0.3)
    frame = augment.Frame(channels=1, patch=(8, 8, 8), spacing=(1.0, 1.0, 1.0))
    rng = np.random.default_rng(0)
    drawn = sum(transform.draw(rng, frame) is not None for _ in range(2000)) / 2000
    three_chances = name in ("Affine", "Flip")
    expected = 1 - 0.7**3 if three_chances else 0.3
    assert drawn == pytest.approx(expected, abs=0.04)


WRONG = [
    (
        "Affine",
        {"scale": (0.0, 1.2)},
        "scale (0.0, 1.2) must be (lowest, highest) at or above 0.01",
    ),
    ("Affine", {"translation": 1.5}, "translation 1.5 must lie within 0 and 1"),
    ("AnatomicElastic", {"shares": {1: 1.5}}, "the share of 1 1.5 must lie within 0 and 1"),
    ("BiasField", {"strength": (0.3, 0.1)}, "strength (0.3, 0.1) must be (lowest, highest)"),
    ("Brightness", {"factor": (-1.0, 1.0)}, "factor (-1.0, 1.0) must be (lowest, highest)"),
    ("CopyPaste", {"shift": 2.0}, "shift 2.0 must lie within 0 and 1"),
    ("CopyPaste", {"feather_mm": -1.0}, "feather_mm -1.0 must lie at or above 0"),
    ("CutMix", {"size": (0.5, 1.5)}, "size (0.5, 1.5) must be (lowest, highest) within 0.01 and 1"),
    ("CutMix", {"rarity": -1.0}, "rarity -1.0 must lie at or above 0"),
    ("Elastic", {"intervals": 0}, "intervals 0 must lie at or above 1"),
    ("GaussianBlur", {"sigma": (-1.0, 1.0)}, "sigma (-1.0, 1.0) must be (lowest, highest)"),
    ("Ghosting", {"ghosts": (1, 4)}, "ghosts (1, 4) must be (lowest, highest) at or above 2"),
    (
        "Ghosting",
        {"strength": (0.5, 1.5)},
        "strength (0.5, 1.5) must be (lowest, highest) within 0",
    ),
    ("IntensityShift", {"offset": (0.0, float("inf"))}, "offset (0.0, inf) must be (lowest"),
    ("LowResolution", {"scale": (0.5, 2.0)}, "scale (0.5, 2.0) must be (lowest, highest) within"),
    ("Motion", {"moves": (0, 3)}, "moves (0, 3) must be (lowest, highest) at or above 1"),
    ("Motion", {"translation": -0.1}, "translation -0.1 must lie within 0 and 1"),
    ("PartialVolume", {"thickness": (0.5, 2.0)}, "thickness (0.5, 2.0) must be (lowest, highest)"),
    ("StructureMix", {"chance": 1.5}, "chance 1.5 must lie within 0 and 1"),
    ("StructureMix", {"priorities": {1: 2.0}}, "the priority of 1 2.0 must lie within 0 and 1"),
    ("RicianNoise", {"deviation": (-0.1, 0.1)}, "deviation (-0.1, 0.1) must be (lowest, highest)"),
]


@pytest.mark.parametrize(("name", "arguments", "message"), WRONG)
def test_an_argument_out_of_range_is_refused_by_name(name, arguments, message):
    with pytest.raises(ValueError) as error:
        getattr(augment, name)(**{**CERTAIN[name], **arguments})
    assert str(error.value).startswith(f"{name}: {message}")


@every_transform
def test_a_probability_beyond_one_is_refused(name):
    with pytest.raises(ValueError) as error:
        make(name, probability=1.5)
    assert str(error.value) == f"{name}: probability 1.5 must lie within 0 and 1."
