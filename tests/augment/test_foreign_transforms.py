"""Transforms of other libraries: small imitations of how each is called, and the real ones."""

import json
import random
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from delineate.augment import Sequence
from delineate.augment.conventions import seeded
from delineate.augment.distance import remake_distances
from delineate.contracts import Batch, Target


def batchgenerators_like():
    """Draws from NumPy's and PyTorch's global generators."""

    class Flip:
        def __call__(self, image, segmentation):
            if np.random.rand() < 2:  # noqa: NPY002 # as that library does
                image, segmentation = image.flip(1), segmentation.flip(1)
            return {"image": image + torch.randn(image.shape), "segmentation": segmentation}

    Flip.__module__ = "batchgeneratorsv2.transforms.spatial"
    return Flip()


class OwnGenerator:
    """As MONAI's, which never draw from a global generator."""

    def set_random_state(self, seed=None):
        self.R = np.random.RandomState(seed)

    def noise(self, shape):
        return torch.from_numpy(self.R.standard_normal(shape)).float()


def monai_dictionary_like():
    class Flipd(OwnGenerator):
        keys = ("image", "label")

        def __call__(self, data):
            image = data["image"].flip(1)
            return {"image": image + self.noise(image.shape), "label": data["label"].flip(1)}

    Flipd.__module__ = "monai.transforms.spatial.dictionary"
    return Flipd()


def monai_spatial_like():
    """Labels are to be moved by the nearest voxel."""

    class Flip(OwnGenerator):
        def __call__(self, img, mode="bilinear"):
            assert (mode == "nearest") == (img.dtype == torch.int16)
            turns = self.R.randint(1, 2)
            return img.flip(1) + (self.noise(img.shape) if mode == "bilinear" else 0) * turns

    Flip.__module__ = "monai.transforms.spatial.array"
    return Flip()


def albumentations_like():
    """Channels last, random numbers from Python's own generator."""

    class Flip:
        def __call__(self, image, mask):
            assert image.shape[:2] == mask.shape[:2] == (8, 6)
            return {"image": image[::-1] + np.float32(random.random()), "mask": mask[::-1]}

    Flip.__module__ = "albumentations.augmentations.geometric"
    return Flip()


def albumentations_2_like():
    """A generator of its own, which global seeds do not reach."""

    class Flip:
        def set_random_seed(self, seed):
            self.py_random = random.Random(seed)

        def __call__(self, image, mask):
            return {"image": image[::-1] + np.float32(self.py_random.random()), "mask": mask[::-1]}

    Flip.__module__ = "albumentations.augmentations.geometric.flip"
    return Flip()


def torchio_like():
    class Flip:
        def __call__(self, subject):
            moved = {n: SimpleNamespace(data=i.data.flip(1)) for n, i in subject.items()}
            moved["image"].data = moved["image"].data + torch.randn(1)
            return moved

    Flip.__module__ = "torchio.transforms.augmentation"
    return Flip()


@pytest.fixture
def torchio(monkeypatch):
    def volume(tensor, affine):
        assert tensor.dim() == 4
        assert affine.shape == (4, 4)
        return SimpleNamespace(data=tensor, spacing=tuple(np.diag(affine)[:3]))

    fake = SimpleNamespace(ScalarImage=volume, LabelMap=volume, Subject=dict)
    monkeypatch.setitem(sys.modules, "torchio", fake)


ALIKE = [
    batchgenerators_like,
    monai_dictionary_like,
    monai_spatial_like,
    albumentations_like,
    albumentations_2_like,
    torchio_like,
]
every_library = pytest.mark.parametrize("like", ALIKE)


def make_batch(size=(8, 6), *, overlapping=False, **rest):
    generator = torch.Generator().manual_seed(0)
    mask = torch.randint(-1, 3, (3, *size), generator=generator)
    if overlapping:
        mask = torch.randint(0, 2, (3, 2, *size), generator=generator).float()
    return Batch(
        image=torch.randn(3, 2, *size, generator=generator),
        target=Target(mask=mask, **rest),
        spacing=(1.0, 1.5, 2.0)[: len(size)],
        cases=("a", "b", "c"),
        step=3,
    )


@pytest.mark.parametrize("overlapping", [False, True])
@every_library
def test_image_and_label_of_a_sample_go_through_together(like, overlapping, torchio):
    batch = make_batch(overlapping=overlapping)
    after = Sequence([like()], patch=(8, 6))(batch, seed=1)
    axis = 2 if overlapping else 1
    assert torch.equal(after.target.mask, batch.target.mask.flip(axis))
    assert after.target.mask.dtype == batch.target.mask.dtype
    assert after.image.shape == batch.image.shape
    assert not torch.equal(after.image, batch.image.flip(2))


def scatter(seed):
    """All global generators somewhere else."""
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002 # the generators that other libraries use
    random.seed(seed)


def numpy_and_torch():
    """Their states; beartype, which is on in the tests, draws from Python's generator."""
    numpy = np.random.get_state()[1].tolist()  # noqa: NPY002 # as above
    return numpy, torch.get_rng_state().tolist()


def test_pythons_generator_is_put_back_too():
    before = random.getstate()
    with seeded(3):
        drawn = random.random()
    assert random.getstate() == before
    assert drawn == random.Random(3).random()


@every_library
def test_randomness_is_of_seed_step_and_slot_and_leaves_no_trace(like, torchio):
    batch, chain = make_batch(), Sequence([like()], patch=(8, 6))
    scatter(7)
    before = numpy_and_torch()
    first = chain(batch, seed=1).image
    assert numpy_and_torch() == before
    scatter(8)
    assert torch.equal(chain(batch, seed=1).image, first)
    assert not torch.equal(chain(batch, seed=2).image, first)
    assert not torch.equal(chain(replace(batch, step=4), seed=1).image, first)


@every_library
def test_a_batch_equals_its_cases_and_is_replayed_from_json(like, torchio):
    batch, chain = make_batch(), Sequence([like()], patch=(8, 6))
    draws = json.loads(json.dumps(chain.draw(batch, seed=1)))
    together = chain.apply(batch, draws)
    for slot in range(3):
        alone = replace(
            batch,
            image=batch.image[slot : slot + 1],
            target=Target(mask=batch.target.mask[slot : slot + 1]),
            cases=batch.cases[slot : slot + 1],
        )
        assert torch.equal(chain.apply(alone, [[draws[0][slot]]]).image[0], together.image[slot])


def test_what_is_handed_in_stays_as_it_was():
    def spoil(image, segmentation):
        return {"image": image.zero_(), "segmentation": segmentation.zero_()}

    batch, before = make_batch(), make_batch()
    Sequence([named("batchgeneratorsv2", spoil)], patch=(8, 6))(batch, seed=0)
    assert torch.equal(batch.image, before.image)
    assert torch.equal(batch.target.mask, before.target.mask)


def named(module, call, **attributes):
    """An object of a library that calls this function."""
    kind = type("Odd", (), {"__call__": lambda self, *a, **k: call(*a, **k), **attributes})
    kind.__module__ = module
    return kind()


def test_a_class_of_ones_own_that_derives_from_a_library_is_taken_as_the_librarys():
    class Mine(type(batchgenerators_like())):
        pass

    batch = make_batch()
    after = Sequence([Mine()], patch=(8, 6))(batch, seed=1)
    assert torch.equal(after.target.mask, batch.target.mask.flip(1))


def test_an_intensity_transform_of_monai_never_sees_the_label():
    part = named("monai.transforms.intensity.array", lambda img: img + 1)
    batch = make_batch()
    after = Sequence([part], patch=(8, 6))(batch, seed=0)
    assert torch.equal(after.image, batch.image + 1)
    assert torch.equal(after.target.mask, batch.target.mask)


def test_images_without_masks_go_through_alone():
    batch = replace(make_batch(), target=Target(mask=None, presence=torch.tensor([0, 1, 2])))

    def double(image):
        return {"image": image * 2}

    after = Sequence([named("batchgeneratorsv2", double)], patch=(8, 6))(batch, seed=0)
    assert torch.equal(after.image, batch.image * 2)
    assert after.target.mask is None
    assert after.target.presence is batch.target.presence


def test_distances_are_made_anew_where_a_label_moved():
    batch = make_batch(distance=torch.ones(3, 3, 8, 6))
    target = Sequence([batchgenerators_like()], patch=(8, 6))(batch, seed=0).target
    expected = remake_distances(torch.ones(3, 8, 6), target.mask[1], batch.spacing)
    assert torch.equal(target.distance[1], expected)
    still = named("monai.transforms.intensity.array", lambda img: img + 1)
    assert Sequence([still], patch=(8, 6))(batch, seed=0).target.distance.eq(1).all()


REFUSED = [
    (
        named("batchgeneratorsv2", lambda image, segmentation: {"image": image[:, 1:]}),
        "augment: Odd made (2, 7, 6) of (2, 8, 6). "
        "Fix: the network's patch has one size; crop and pad with plan.patch.",
    ),
    (
        named(
            "batchgeneratorsv2",
            lambda image, segmentation: {"image": image, "segmentation": segmentation / 2},
        ),
        "augment: Odd made fractions of the labels. "
        "Fix: let it interpolate the label by nearest neighbour.",
    ),
    (
        named("monai.transforms.croppad.dictionary", lambda d: [d, d], keys=("image", "label")),
        "augment: Odd makes several samples of one. "
        "Fix: patches are cut by the engine; leave it out.",
    ),
]


@pytest.mark.parametrize(("part", "message"), REFUSED)
def test_what_a_network_cannot_take_is_refused_with_the_case(part, message):
    with pytest.raises(ValueError) as error:
        Sequence([part], patch=(8, 6))(make_batch(), seed=0)
    assert str(error.value) == message


def test_an_error_inside_names_transform_and_case():
    def fail(image, segmentation):
        raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside") as error:
        Sequence([named("batchgeneratorsv2", fail)], patch=(8, 6))(make_batch(), seed=0)
    assert error.value.__notes__ == ["augment: Odd met this with a patch of a."]


def test_keys_that_a_sample_does_not_have_are_refused_at_once():
    part = named("monai.transforms.spatial.dictionary", dict, keys=("image", "seg"))
    with pytest.raises(ValueError) as error:
        Sequence([part], patch=(8, 6))
    assert str(error.value) == (
        "augment: Odd wants the keys seg. Fix: a sample has the keys image and label."
    )


def test_a_transform_of_monai_that_may_or_may_not_move_labels_is_refused():
    with pytest.raises(ValueError) as error:
        Sequence([named("monai.transforms.utility.array", abs)], patch=(8, 6))
    assert str(error.value) == (
        "augment: whether Odd moves labels cannot be told. Fix: take its dictionary form "
        "(its name with a d), with keys: [image, label] or [image]."
    )


def test_volumes_are_not_for_albumentations():
    with pytest.raises(ValueError) as error:
        Sequence([albumentations_like()], patch=(8, 6, 4))(make_batch((8, 6, 4)), seed=0)
    assert str(error.value) == (
        "augment: Flip of albumentations is for pictures, but patches have 3 axes. "
        "Fix: plan.dims=2, or another transform."
    )


def real_batchgeneratorsv2(dims):
    spatial = pytest.importorskip("batchgeneratorsv2.transforms.spatial.spatial", reason="a peer")
    size = (24, 20, 16)[:dims]
    return spatial.SpatialTransform(
        size, 0, False, p_rotation=1, rotation=(0.4, 0.5), p_scaling=0, mode_seg="nearest"
    )


def real_monai_dictionary(dims):
    monai = pytest.importorskip("monai.transforms", reason="an extra")
    turn = [0.4] * (3 if dims == 3 else 1)
    modes = ["bilinear", "nearest"]
    keys = ["image", "label"]
    return monai.RandAffined(keys=keys, prob=1, rotate_range=turn, mode=modes, padding_mode="zeros")


def real_monai_array(dims):
    monai = pytest.importorskip("monai.transforms", reason="an extra")
    turn = [0.4] * (3 if dims == 3 else 1)
    return monai.RandAffine(prob=1, rotate_range=turn, padding_mode="zeros")


def real_torchio(dims):
    torchio = pytest.importorskip("torchio", reason="a peer")
    turn = (20, 20, 20) if dims == 3 else (0, 0, 0, 0, 20, 20)
    return torchio.RandomAffine(scales=0, degrees=turn)


def real_albumentations(dims):
    albumentations = pytest.importorskip("albumentations", reason="an extra")
    if dims == 3:
        pytest.skip("for pictures")
    return albumentations.Rotate(limit=(20, 25), p=1, border_mode=0)


REAL = [
    real_batchgeneratorsv2,
    real_monai_dictionary,
    real_monai_array,
    real_torchio,
    real_albumentations,
]


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("make", REAL)
def test_the_real_one_turns_a_blob_and_its_label_together_and_again_the_same(make, dims):
    part, size = make(dims), (24, 20, 16)[:dims]
    blob = torch.zeros(3, *size, dtype=torch.int64)
    blob[:, 6:18, 8:12] = 2
    batch = Batch(
        image=blob[:, None].float(),
        target=Target(mask=blob),
        spacing=(1.0,) * dims,
        cases=("a", "b", "c"),
        step=0,
    )
    before = numpy_and_torch()
    chain = Sequence([part], patch=size)
    after, again = chain(batch, seed=4), chain(batch, seed=4)
    assert torch.equal(after.image, again.image)
    assert torch.equal(after.target.mask, again.target.mask)
    assert numpy_and_torch() == before
    bright, labelled = after.image[:, 0] > 1, after.target.mask > 0
    overlap = 2 * (bright & labelled).sum() / (bright.sum() + labelled.sum())
    assert overlap > 0.9
    assert (labelled != (blob > 0)).any()
    assert set(after.target.mask.unique().tolist()) == {0, 2}
