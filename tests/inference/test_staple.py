import numpy as np
import pytest
import SimpleITK

from delineate.inference import combine_masks
from delineate.inference.staple import estimate, gather, staple, vote

RNG = np.random.default_rng(8)


def blob(shape=(24, 26, 20)):
    """Nested structures 1, 2 and 3."""
    place = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij"))
    radius = np.sqrt((place**2).sum(0))
    return np.select([radius < 0.3, radius < 0.6, radius < 0.9], [3, 2, 1]).astype(np.uint8)


def raters(truth, errors, classes=4):
    """Each says something at random at its own share of the voxels."""
    found = []
    for share in errors:
        wrong = RNG.random(truth.shape) < share
        said = RNG.integers(0, classes, truth.shape).astype(truth.dtype)
        found.append(np.where(wrong, said, truth))
    return found


def images(masks):
    return [SimpleITK.GetImageFromArray(mask) for mask in masks]


def test_a_vote_is_counted_as_one_would_by_hand():
    masks = [RNG.integers(0, 4, (6, 7)) for _ in range(5)]
    counts = np.stack([np.sum([m == k for m in masks], axis=0) for k in range(4)])
    np.testing.assert_array_equal(vote(masks), counts.argmax(0))


def test_a_vote_is_simpleitks_but_for_ties():
    masks = raters(blob(), [0.1, 0.3, 0.2])
    theirs = SimpleITK.GetArrayFromImage(SimpleITK.LabelVoting(images(masks), 255))
    ours = vote(masks)
    tied = theirs == 255
    assert 0 < tied.mean() < 0.1
    np.testing.assert_array_equal(ours[~tied], theirs[~tied])


def test_staple_of_two_labels_gives_simpleitks_probabilities():
    truth = (blob() > 1).astype(np.uint8)
    masks = raters(truth, [0.05, 0.2, 0.3, 0.4], classes=2)
    theirs = SimpleITK.GetArrayFromImage(SimpleITK.STAPLE(images(masks), 1.0, 1.0, 500))
    # Noise reaches every border, so that the box is the whole array here.
    split = np.any([m != masks[0] for m in masks], axis=0)
    answers = gather(masks, split)
    ours = estimate(answers)[answers.place, 1]
    np.testing.assert_allclose(ours, theirs[split], atol=1e-3)


@pytest.mark.parametrize("errors", [(0.05, 0.5, 0.6, 0.7, 0.6), (0.1, 0.2, 0.3)])
def test_staple_of_many_labels_is_simpleitks(errors):
    masks = raters(blob(), errors)
    theirs = SimpleITK.GetArrayFromImage(SimpleITK.MultiLabelSTAPLE(images(masks), 255, 1e-6, 500))
    assert (staple(masks) != theirs).mean() < 1e-3


def test_one_good_rater_among_bad_ones_is_found_out():
    truth = blob()
    masks = raters(truth, [0.05, 0.5, 0.5])
    assert (staple(masks) != truth).mean() < 0.8 * (vote(masks) != truth).mean()


def test_where_all_agree_their_word_stands():
    masks = raters(blob(), [0.1, 0.2, 0.1])
    agreed = (masks[0] == masks[1]) & (masks[1] == masks[2])
    np.testing.assert_array_equal(staple(masks)[agreed], masks[0][agreed])


def test_air_around_the_structures_changes_nothing():
    masks = raters(blob(), [0.1, 0.2, 0.3])
    padded = [np.pad(mask, 9) for mask in masks]
    np.testing.assert_array_equal(staple(padded), np.pad(staple(masks), 9))


@pytest.mark.parametrize("how", ["vote", "staple"])
def test_layers_are_combined_one_by_one(how):
    layers = [raters((blob() > k).astype(np.uint8), [0.1, 0.2, 0.3], classes=2) for k in (0, 1)]
    masks = [np.stack(pair) for pair in zip(*layers, strict=True)]
    found = combine_masks(masks, how=how, overlapping=True)
    for layer, alone in zip(found, layers, strict=True):
        np.testing.assert_array_equal(layer, combine_masks(alone, how=how))


@pytest.mark.parametrize("how", ["vote", "staple"])
def test_any_ids_and_empty_masks_are_fine(how):
    empty = np.zeros((4, 5, 6), np.int16)
    np.testing.assert_array_equal(combine_masks([empty] * 3, how=how), empty)
    one = empty.copy()
    one[1:3, 1:4, 2:5] = 1000
    np.testing.assert_array_equal(combine_masks([one, one, empty], how=how), one)
    np.testing.assert_array_equal(combine_masks([one], how=how), one)


def test_masks_of_two_grids_are_refused():
    with pytest.raises(ValueError, match="must be on one grid"):
        combine_masks([np.zeros((2, 2)), np.zeros((2, 3))], how="vote")
