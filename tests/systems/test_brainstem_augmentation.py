"""The documented probabilities and shares on the engine's parts; the pipeline of single samples."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from delineate.assemble import assemble_augmentation
from delineate.augment import AnatomicElastic, Elastic, Frame, OneOf, StructureMix
from delineate.augment.resample import centred_grid
from delineate.config import Config, check_parts
from delineate.contracts import Batch, Target
from delineate.labels import Class, Labels
from delineate.plan import Network, Plan
from delineate.systems.brainstem import AugmentationPipeline
from delineate.systems.brainstem.augmentation import bending, parts
from delineate.systems.brainstem.morphogen import calm_lists
from delineate.systems.brainstem.settings import TrainingConfig

LABELS = Labels(
    classes=(
        Class(name="brainstem", id=9),
        *(Class(name=part, parent="brainstem") for part in ("midbrain", "pons", "medulla")),
        Class(name="red_nucleus", id=4, parent="midbrain"),
        Class(name="pontine_nuclei", id=29, parent="pons"),
        Class(name="olive", id=144, parent="medulla"),
    )
)
SIZE = (24, 20, 16)


def assemble(wish, labels=LABELS, **rest):
    augment = parts(wish, labels, **rest)
    config = Config.model_validate({"data": {"root": "."}, "augment": augment})
    check_parts(config)
    network = Network(features=(2,), strides=((1, 1, 1),), kernels=((3, 3, 3),), convolutions=(1,))
    plan = Plan(
        channels=("T2w",), labels=labels, spacing=(0.2,) * 3, shape=SIZE, crop_nonzero=False,
        normalisation=(), separate_axis=None, patch=SIZE, batch_size=4, network=network,
        memory_gb=0.1,
    )  # fmt: skip
    return assemble_augmentation(config, plan)


def test_the_configuration_builds_the_documented_parts():
    elastic, mix, noise = assemble(TrainingConfig()).transforms
    assert isinstance(elastic, AnatomicElastic)
    assert elastic.elastic.probability == 0.8
    assert elastic.shares == {2: 1.0, 3: 0.7, 4: 0.5}
    np.testing.assert_allclose(elastic.calm[2], (0.2, 0.02))
    assert isinstance(mix, StructureMix)
    assert (mix.probability, mix.chance, mix.priorities) == (0.4, 0.5, None)
    assert isinstance(noise, OneOf)
    assert (noise.probability, noise.channels, len(noise.parts)) == (0.6, 1, 5)


def test_what_is_not_wanted_is_left_out(caplog):
    assert parts(TrainingConfig(elastic_prob=0, noise_prob=0, cutmix_prob=0), LABELS) == []
    with caplog.at_level("INFO", logger="delineate"):
        names = [part["name"] for part in parts(TrainingConfig(batch_size=1), LABELS)]
    assert "StructureMix" not in names
    assert "a batch of one has no second sample: no nuclei are pasted" in caplog.text
    assert "calm" not in parts(TrainingConfig(morphogen_aware=False), LABELS)[0]


def test_documented_priorities_are_those_of_the_sixteen_class_schema_only():
    sixteen = Labels.from_names({f"nucleus {i}": i for i in range(1, 16)})
    _, mix, _ = assemble(TrainingConfig(), sixteen).transforms
    shares = [mix.priorities.get(c, mix.rest) for c in range(1, 16)]
    assert shares == [0.7, 0.7, 1, 0.7, 0.5, 0.5, 0.5, 1, 0.3, 0.5, 0.5, 1, 0.5, 0.5, 0.3]


def test_part_of_a_volume_is_calm_by_its_place_in_the_whole():
    within = ((0.0, 1.0), (0.0, 1.0), (0.4, 1.0))
    elastic = assemble(TrainingConfig(), within=within).transforms[0]
    np.testing.assert_allclose(elastic.calm[2][0], 0.2 - 0.4 * 0.18)
    np.testing.assert_allclose(elastic.calm[2][-1], 0.02)


@pytest.mark.parametrize("alpha", [5.0, 13.0])
def test_the_field_has_the_deviation_and_the_width_of_the_documented_one(alpha):
    """Measured on both: deviation, and how alike places 4 voxels apart are."""
    size = (64, 64, 64)
    noise = np.random.default_rng(0).normal(0, alpha, size)
    documented = gaussian_filter(noise, 3, mode="wrap")
    wish = bending(size)
    low, high = wish["strength"]
    strength = low * alpha / 5
    assert low <= strength <= high
    frame = Frame(channels=1, patch=size, spacing=(1.0,) * 3)
    grid = centred_grid(size, torch.device("cpu"))
    pulled = Elastic(intervals=wish["intervals"], strength=(low, high)).pull(
        grid, {"strength": strength, "seed": 0}, frame
    )
    field = (pulled[0] - grid[0]).numpy()
    assert field.std() == pytest.approx(documented.std(), rel=0.1)
    alike = [np.corrcoef(f[:-4].ravel(), f[4:].ravel())[0, 1] for f in (field, documented)]
    assert alike[0] == pytest.approx(alike[1], abs=0.1)


def volume(seed=0):
    rng = np.random.default_rng(seed)
    vol = gaussian_filter(rng.normal(0, 1, SIZE), 1).astype(np.float32)
    lab, subdiv = np.zeros(SIZE, np.int32), np.zeros(SIZE, np.int64)
    for number, (start, part) in enumerate(((2, 1), (9, 2), (16, 3))):
        lab[start : start + 5, 4:16, 3:13] = 9
        lab[start + 1 : start + 4, 6:12, 5:10] = (4, 29, 144)[number]
        subdiv[start : start + 5, 4:16, 3:13] = part
    return vol, lab, subdiv


def test_without_any_part_a_sample_stays_as_it_is():
    vol, lab, subdiv = volume()
    after, ids = AugmentationPipeline(0, 0, 0).augment_sample(
        vol[None], lab, subdiv, vol[None], lab
    )
    np.testing.assert_array_equal(after, vol[None])
    np.testing.assert_array_equal(ids, lab)
    assert ids.dtype == np.int32


def test_a_sample_is_a_function_of_seed_and_number_and_comes_back_in_its_own_kind():
    vol, lab, subdiv = volume()
    given = [torch.from_numpy(a) for a in (vol[None], lab, subdiv, *(v for v in volume(1)[:2]))]
    given[3] = given[3][None]
    before = [g.clone() for g in given]
    one, same, other = (AugmentationPipeline(1, 1, 1, seed=s) for s in (5, 5, 6))
    first, second = one.augment_sample(*given), one.augment_sample(*given)
    assert all(torch.equal(a, b) for a, b in zip(given, before, strict=True))
    assert first[0].shape == given[0].shape
    assert first[1].dtype == given[1].dtype
    assert not torch.equal(first[0], second[0])
    again = same.augment_sample(*given, number=1)
    assert all(torch.equal(a, b) for a, b in zip(second, again, strict=True))
    assert not torch.equal(other.augment_sample(*given)[0], first[0])
    assert set(first[1].unique().tolist()) <= {0, 4, 9, 29, 144}


def test_subdivisions_move_by_their_shares_and_less_where_morphogens_are_strong():
    size = (20, 60, 20)
    ramp = np.broadcast_to(np.arange(60, dtype=np.float32)[:, None], size).copy()
    lab = np.ones(size, np.int32)
    subdiv = np.ones(size, np.int32)
    subdiv[:, 30:] = 3
    moves = {}
    for aware in (False, True):
        pipeline = AugmentationPipeline(1, 0, 0, aware)
        found = [pipeline.augment_sample(ramp, lab, subdiv)[0] - ramp for _ in range(4)]
        inside = np.stack(found)[:, 4:-4, :, 4:-4]
        moves[aware] = [inside[:, :, s].std() for s in (slice(6, 22), slice(38, 54))]
    upper, lower = moves[False]
    assert lower == pytest.approx(0.5 * upper, rel=0.25)
    assert moves[True][0] < 0.85 * upper


def test_nuclei_of_the_other_sample_are_pasted_in_their_own_shape():
    vol, _, _ = volume()
    empty, (other, lab, _) = np.zeros(SIZE, np.int32), volume(1)
    pipeline = AugmentationPipeline(0, 0, 1)
    seen = set()
    for _ in range(12):
        after, ids = pipeline.augment_sample(vol, empty, None, other, lab)
        pasted = ids > 0
        np.testing.assert_array_equal(ids[pasted], lab[pasted])
        np.testing.assert_array_equal(after, np.where(pasted, other, vol))
        seen |= set(np.unique(ids))
    assert seen >= {0, 4, 29, 144}


def test_nuclei_are_pasted_as_often_as_is_asked_for():
    vol, lab, _ = volume()
    empty = np.zeros(SIZE, np.int32)
    pipeline = AugmentationPipeline(0, 0, 0.4)
    donor = np.where(lab == 4, lab, 0)
    turns = (pipeline.augment_sample(vol, empty, None, vol, donor) for _ in range(200))
    pasted = sum(ids.any() for _, ids in turns)
    assert pasted / 200 == pytest.approx(0.4, abs=0.1)


def test_what_cannot_be_is_refused():
    vol, lab, subdiv = volume()
    with pytest.raises(ValueError, match="elastic_prob"):
        AugmentationPipeline(elastic_prob=2)
    with pytest.raises(ValueError, match="noise_prob"):
        AugmentationPipeline(noise_prob=float("nan"))
    with pytest.raises(ValueError, match="mix_vol and mix_lab go together"):
        AugmentationPipeline().augment_sample(vol, lab, subdiv, vol)
    with pytest.raises(ValueError, match="three axes, no channels"):
        AugmentationPipeline().augment_sample(vol[None], lab[None])


def test_samples_of_different_sizes_are_refused():
    vol, lab, subdiv = volume()
    with pytest.raises(ValueError, match=r"augment_sample: volumes of .* Fix: one size for all"):
        AugmentationPipeline().augment_sample(vol, lab, subdiv, vol[1:], lab[1:])


def test_two_patches_of_one_case_are_as_calm_as_their_places():
    """Through the batch, as training does it."""
    labels = Labels.from_names({"a": 1})
    wish = TrainingConfig(elastic_prob=1.0, noise_prob=0, cutmix_prob=0, patch_size=SIZE)
    chain = assemble(wish, labels)
    image = torch.arange(SIZE[0], dtype=torch.float32).view(-1, 1, 1).expand(SIZE)
    batch = Batch(
        image=image[None, None].repeat(2, 1, 1, 1, 1),
        target=Target(mask=torch.zeros(2, *SIZE, dtype=torch.int64)),
        spacing=(0.2,) * 3,
        cases=("a", "a"),
        step=0,
        place=torch.tensor(
            [[[0.4, 0.6], [0.0, 0.1], [0.0, 0.1]], [[0.0, 0.1], [0.9, 1], [0.9, 1]]]
        ),
    )
    draw = chain.draw(batch, seed=0)[0][0]
    after = chain.apply(batch, [[draw, draw]])
    strong, weak = ((after.image - batch.image)[i, 0, 6:-6].std() for i in range(2))
    lines = [np.array(line) for line in calm_lists()]
    expected = (1 - lines[0].max() - lines[1].max() - lines[2].max()) / (
        1 - lines[1].min() - lines[2].min() - lines[0].max() * 0.1
    )
    assert float(strong / weak) == pytest.approx(expected, abs=0.06)
