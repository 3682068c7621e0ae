"""A chain of transforms: order, reading size, and what is refused."""

import pytest
import torch

from delineate.augment import Affine, Brightness, Elastic, Flip, GaussianNoise, Sequence
from delineate.contracts import Batch, Target


def make_batch(*size, spacing=None):
    return Batch(
        image=torch.randn(2, 1, *size),
        target=Target(mask=torch.randint(0, 2, (2, *size))),
        spacing=spacing or (1.0,) * len(size),
        cases=("a", "b"),
        step=0,
    )


def test_without_draws_the_patch_is_a_view_of_what_was_read():
    batch = make_batch(10, 8)
    after = Sequence([Affine(probability=0), Brightness(probability=0)], patch=(6, 8))(
        batch, seed=0
    )
    assert after.image.data_ptr() == batch.image[:, :, 2:8].data_ptr()
    assert after.image._base is batch.image


def test_geometry_comes_first_and_the_rest_in_its_order():
    chain = Sequence([GaussianNoise(), Affine(), Flip(), Elastic(), Brightness()], patch=(4, 4))
    names = [type(t).__name__ for t in chain.transforms]
    assert names == ["Affine", "Elastic", "GaussianNoise", "Flip", "Brightness"]


def test_affine_and_elastic_share_one_resampling():
    """Two interpolations would smooth the noise twice."""
    batch = make_batch(40, 40)
    affine = Affine(rotation_degrees=20, scale=(1, 1), probability=1)
    elastic = Elastic(strength=(0.0001, 0.0001), probability=1)
    both = Sequence([affine, elastic], patch=(24, 24))
    draws = both.draw(batch, seed=0)
    alone = Sequence([affine], patch=(24, 24)).apply(batch, draws[:1])
    torch.testing.assert_close(both.apply(batch, draws).image, alone.image, atol=0.02, rtol=0)


def test_without_geometry_the_patch_is_what_is_read():
    assert Sequence([Flip(), GaussianNoise()], patch=(32, 40)).read_patch((1.0, 1.0)) == (32, 40)


def test_a_turning_patch_reads_more_but_at_most_a_third_and_evenly():
    chain = Sequence([Affine()], patch=(40, 57, 40))
    assert chain.read_patch((1.0, 1.0, 1.0)) == (52, 73, 52)


def test_a_small_shift_reads_only_its_share_more():
    chain = Sequence([Affine(rotation_degrees=0, scale=(1, 1), translation=0.05)], patch=(40, 40))
    assert chain.read_patch((1.0, 1.0)) == (44, 44)


def test_a_stack_of_slices_reads_no_more_slices():
    assert Sequence([Affine(), Elastic()], patch=(64, 64, 16)).read_patch((0.5, 0.5, 4.0))[2] == 16


def test_turning_a_flat_patch_reads_more_along_its_short_side():
    chain = Sequence([Affine(rotation_degrees=10, scale=(1, 1))], patch=(100, 40))
    assert chain.read_patch((1.0, 1.0)) == (106, 52)


def test_a_batch_smaller_than_the_patch_is_refused():
    with pytest.raises(ValueError) as error:
        Sequence([], patch=(6, 8))(make_batch(10, 7), seed=0)
    assert str(error.value) == (
        "augment: the batch has (10, 7) voxels, too few for the patch (6, 8). "
        "Fix: read Sequence.read_patch(spacing) voxels, padded where the scan ends."
    )


def test_an_object_that_cannot_draw_is_refused():
    with pytest.raises(ValueError) as error:
        Sequence([abs], patch=(4, 4))
    assert str(error.value) == (
        "augment: builtin_function_or_method is no transform. "
        "Fix: it needs draw(rng, frame) and apply(batch, draws), "
        "or is of albumentations, batchgeneratorsv2, monai, torchio."
    )
