import numpy as np
import pytest
import torch
from toy_models import OVERLAPPING, Threshold, ids, levels, make_model, make_plan, save_scan

from delineate.errors import ConfigError, DataError
from delineate.inference import (
    Committee,
    Extras,
    KeepLargest,
    predict_case,
    predict_volume,
    take_domain,
    windows_of,
)
from delineate.io import read_volume
from delineate.plan import Network

BOTH = Extras(probabilities=True, uncertainty=True)


def whole(probabilities):
    found = np.full(probabilities.shape, np.nan, np.float32)
    for rows, block in probabilities.blocks():
        found[(slice(None),) * (1 + probabilities.axis) + (rows,)] = block
    return found


def test_a_scan_of_another_spacing_is_resampled_there_and_back(tmp_path):
    image = np.zeros((12, 12, 6), np.float32)
    image[3:9, 3:9, 2:5] = 1
    scan = save_scan(tmp_path / "case.nii", image, np.diag((1.0, 1.0, 2.0, 1.0)))
    found = predict_case(make_model(), [scan]).mask.array
    assert found.shape == (1, 12, 12, 6)
    np.testing.assert_array_equal(found[0] == 3, image == 1)


def test_overlapping_classes_come_out_as_layers(tmp_path):
    image = levels((8, 9, 10))
    plan = make_plan(labels=OVERLAPPING)
    model = make_model(Threshold(overlapping=True), plan=plan, flips=(0, 1, 2))
    found = predict_case(model, [save_scan(tmp_path / "case.nii", image)]).mask
    np.testing.assert_array_equal(found.array, np.stack([image > 0.5, image > 1.5]))


@pytest.mark.parametrize(
    ("patch", "network_dims", "seen", "mirror_axis"),
    [((8, 8, 8), 3, (0, 1, 2), 0), ((8, 8, 1), 2, (0, 1), 0), ((8, 8), 2, (0, 1), 1)],
)
def test_the_cut_knows_what_the_network_sees(patch, network_dims, seen, mirror_axis):
    ones = (1,) * network_dims
    network = Network(features=(4,), strides=(ones,), kernels=(ones,), convolutions=(2,))
    planned = make_plan(patch=patch, network=network)
    cut = windows_of(planned, flips=planned.seen_axes)
    assert (cut.flips, cut.mirror_axis, cut.batch) == (seen, mirror_axis, 2)
    assert windows_of(make_plan(patch=patch, network=network)).flips == ()


@pytest.mark.parametrize("combine", ["probabilities", "logits", "vote", "staple"])
def test_an_ensemble_of_equals_draws_what_one_draws(tmp_path, combine):
    scan = save_scan(tmp_path / "case.nii", levels((9, 10, 11)))
    alone = predict_case(make_model(), [scan]).mask.array
    several = make_model(*(Threshold() for _ in range(3)), combine=combine)
    np.testing.assert_array_equal(predict_case(several, [scan]).mask.array, alone)


@pytest.mark.parametrize("combine", ["probabilities", "logits", "vote"])
def test_two_against_one_win(tmp_path, combine):
    image = levels((8, 8, 8))
    scan = save_scan(tmp_path / "case.nii", image)
    # The third never sees anything.
    members = Threshold(), Threshold(), Threshold(at=1.0 + 1e-3, sharpness=0.1)
    found = predict_case(make_model(*members, combine=combine), [scan]).mask.array[0]
    np.testing.assert_array_equal(found, ids(image))


def test_probabilities_are_the_softmax_of_the_interpolated_logits(tmp_path):
    image = levels((8, 9, 10))
    scan = save_scan(tmp_path / "case.nii", image)
    found = predict_case(make_model(), [scan], extras=BOTH)
    assert found.probabilities is not None
    got = whole(found.probabilities)
    logits = Threshold()(torch.from_numpy(image)[None, None])[0]
    np.testing.assert_allclose(got, logits.softmax(0).numpy(), atol=1e-5)
    assert found.probabilities.axis == 2
    rows = found.probabilities.rows(slice(2, 5))
    np.testing.assert_array_equal(rows, got[..., 2:5])


@pytest.mark.parametrize("combine", ["probabilities", "logits"])
@pytest.mark.parametrize("overlapping", [False, True])
def test_asking_for_more_changes_no_mask_and_the_likeliest_class_is_the_masks(
    tmp_path, combine, overlapping
):
    plan = make_plan(**({"labels": OVERLAPPING} if overlapping else {}), spacing=(1.0, 1.3, 0.8))
    members = [Threshold(overlapping, at=at) for at in (0.3, 0.5, 0.8)]
    model = make_model(*members, plan=plan, combine=combine, flips=(0,))
    image = np.random.default_rng(1).uniform(0, 2.5, (9, 12, 10)).astype(np.float32)
    scan = save_scan(tmp_path / "case.nii", image)
    plain, more = predict_case(model, [scan]), predict_case(model, [scan], extras=BOTH)
    np.testing.assert_array_equal(plain.mask.array, more.mask.array)
    assert plain.probabilities is None
    assert plain.uncertainty is None
    assert more.probabilities is not None
    got = whole(more.probabilities)
    if overlapping:
        assert ((got > 0.5) == more.mask.array).mean() > 0.999
    else:
        np.testing.assert_allclose(got.sum(0), 1, atol=1e-5)
        same = plan.labels.decode(got.argmax(0)) == more.mask.array[0]
        assert same.mean() > 0.999


def test_what_lies_outside_the_crop_is_background_for_certain(tmp_path):
    image = np.zeros((14, 12, 12), np.float32)
    image[4:10, 3:9, 2:10] = 2
    model = make_model(Threshold(), Threshold(at=0.7), plan=make_plan(crop_nonzero=True))
    scan = save_scan(tmp_path / "case.nii", image)
    found = predict_case(model, [scan], extras=BOTH)
    assert found.probabilities is not None
    assert found.uncertainty is not None
    assert found.uncertainty.disagreement is not None
    got = whole(found.probabilities)
    np.testing.assert_array_equal(got[:, :4].max((1, 2, 3)), [1, 0, 0])
    assert not found.uncertainty.entropy[:4].any()
    assert (found.uncertainty.entropy[4:10, 3:9, 2:10] > 0).all()
    assert (found.uncertainty.disagreement <= found.uncertainty.entropy + 1e-3).all()


def test_one_network_has_no_one_to_disagree_with(tmp_path):
    scan = save_scan(tmp_path / "case.nii", levels((8, 8, 8)))
    found = predict_case(make_model(), [scan], extras=Extras(uncertainty=True))
    assert found.uncertainty is not None
    assert found.uncertainty.disagreement is None
    assert found.probabilities is None


def test_members_that_agree_disagree_nowhere_and_others_where_they_differ(tmp_path):
    image = levels((8, 8, 8))
    scan = save_scan(tmp_path / "case.nii", image)
    asked = Extras(uncertainty=True)
    same = predict_case(make_model(Threshold(), Threshold()), [scan], extras=asked).uncertainty
    assert same is not None
    assert same.disagreement is not None
    assert same.disagreement.max() < 1e-3
    sharp = make_model(Threshold(sharpness=50.0), Threshold(at=1.2, sharpness=50.0))
    other = predict_case(sharp, [scan], extras=asked).uncertainty
    assert other is not None
    assert other.disagreement is not None
    # One bit between two classes, of log2(3) that three could have.
    expected = np.where(image == 0, 0, np.log(2) / np.log(3))
    np.testing.assert_allclose(other.disagreement, expected, atol=2e-3)


@pytest.mark.parametrize("combine", ["vote", "staple"])
def test_the_uncertainty_of_votes_is_their_entropy(tmp_path, combine):
    image = levels((8, 8, 8))
    scan = save_scan(tmp_path / "case.nii", image)
    model = make_model(Threshold(), Threshold(), Threshold(at=1.2), combine=combine)
    found = predict_case(model, [scan], extras=Extras(uncertainty=True)).uncertainty
    assert found is not None
    split = -(np.log(1 / 3) / 3 + 2 * np.log(2 / 3) / 3) / np.log(3)
    np.testing.assert_allclose(found.entropy, np.where(image == 0, 0, split), atol=1e-3)


def test_votes_have_no_probabilities(tmp_path):
    scan = save_scan(tmp_path / "case.nii", levels((8, 8, 8)))
    model = make_model(Threshold(), Threshold(), combine="vote")
    with pytest.raises(ConfigError, match="members combined by 'vote' give masks only"):
        predict_case(model, [scan], extras=BOTH)


def test_steps_are_done_on_the_scans_own_grid(tmp_path):
    image = np.zeros((12, 12, 12), np.float32)
    image[1:5, 1:5, 1:5] = 1
    image[9, 9, 9] = 1
    scan = save_scan(tmp_path / "case.nii", image)
    model = make_model(steps=(KeepLargest(label="a"),))
    found = predict_case(model, [scan]).mask.array[0]
    assert found[2, 2, 2] == 3
    assert found[9, 9, 9] == 0
    with pytest.raises(DataError, match="names the unknown class 'liver'"):
        predict_case(make_model(steps=(KeepLargest(label="liver"),)), [scan])


def test_a_scan_outside_the_training_domain_is_said_with_figures(tmp_path):
    train = [
        read_volume(save_scan(tmp_path / f"{i}.nii", levels((12, 12, 12), seed=i)))
        for i in range(12)
    ]
    plan = make_plan()
    model = make_model(plan=plan, domain=take_domain(train, plan))
    assert predict_volume(model, train[3]).warnings == ()
    thick = save_scan(tmp_path / "thick.nii", levels((12, 12, 4)), np.diag((1.0, 1.0, 5.0, 1.0)))
    warnings = predict_case(model, [thick]).warnings
    assert warnings[0] == "spacing 5 mm along the slice axis; training scans had 1"


@pytest.mark.parametrize("combine", ["probabilities", "vote", "staple"])
def test_models_of_different_plans_meet_on_the_scans_grid(tmp_path, combine):
    image = np.zeros((16, 16, 16), np.float32)
    image[4:12, 4:12, 4:12] = 1
    scan = save_scan(tmp_path / "case.nii", image, np.diag((-1.0, 1.0, 1.0, 1.0)))
    coarse = make_plan(spacing=(2.0, 2.0, 2.0), patch=(4, 4, 8))
    members = make_model(), make_model(plan=coarse), make_model(Threshold(at=0.4))
    committee = Committee(models=members, combine=combine)
    found = predict_case(committee, [scan])
    np.testing.assert_array_equal(found.mask.array[0] == 3, read_volume(scan).array[0] == 1)
    more = predict_case(committee, [scan], extras=Extras(uncertainty=True)).uncertainty
    assert more is not None
    assert more.disagreement is not None
    assert (more.disagreement <= more.entropy + 1e-3).all()


def test_a_committees_probabilities_are_the_mean_of_its_models(tmp_path):
    scan = save_scan(tmp_path / "case.nii", levels((8, 8, 8)))
    models = make_model(), make_model(Threshold(at=0.9))
    committee = predict_case(Committee(models=models), [scan], extras=BOTH).probabilities
    each = [predict_case(m, [scan], extras=BOTH).probabilities for m in models]
    assert committee is not None
    expected = np.mean([whole(p) for p in each if p is not None], axis=0)
    np.testing.assert_allclose(whole(committee), expected, atol=1e-6)
    np.testing.assert_allclose(committee.rows(slice(1, 3)), expected[..., 1:3], atol=1e-6)
