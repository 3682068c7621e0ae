import json

import numpy as np
import pytest
from toy_models import make_plan

from delineate.datasets import read_dataset
from delineate.errors import DataError
from delineate.inference import Domain, take_domain
from delineate.io import Volume, read_volume
from delineate.io.volume import Grid
from delineate.labels import Labels
from delineate.plan import CaseFacts, Fingerprint, Normalisation

RNG = np.random.default_rng(0)
CT = make_plan(channels=("CT",), normalisation=(Normalisation(kind="ct", high=1.0),))
MR = make_plan(normalisation=(Normalisation(kind="zscore"),))


def scan(shape=(20, 22, 18), spacing=(1.0, 1.0, 1.0), *, gain=1.0, shift=0.0, turn=None, axes=None):
    affine = np.diag((*spacing, 1.0))
    if turn is not None:
        affine[:3, :3] = turn @ affine[:3, :3]
    source = affine if axes is None else affine @ np.diag((*axes, 1.0))
    # The same percentiles in every scan, but for its size.
    share = (RNG.permutation(int(np.prod(shape))) + 0.5) / np.prod(shape)
    image = (-100 * np.log1p(-share) * gain + shift).reshape(1, *shape)
    grid = Grid(shape=shape, affine=source)
    return Volume(array=image.astype(np.float32), affine=affine, source=grid)


def training(number=20, **changes):
    return [
        scan(spacing=(1.0, 1.0, float(RNG.uniform(0.8, 1.2))), **changes) for _ in range(number)
    ]


def test_a_scan_like_those_of_the_training_is_not_warned_of():
    domain = take_domain(training(), CT)
    assert domain.warnings(scan()) == ()
    assert domain.warnings(scan(spacing=(1.04, 0.97, 1.25))) == ()


def test_thick_slices_are_told_with_the_figures():
    scans = training()
    scans[0] = scan(spacing=(1.0, 1.0, 0.8))
    scans[1] = scan(spacing=(1.0, 1.0, 1.2))
    told = take_domain(scans, CT).warnings(scan((20, 22, 4), (1.0, 1.0, 5.0)))
    assert told == ("spacing 5 mm along the slice axis; training scans had 0.8 to 1.2",)


def test_another_field_of_view_is_told_by_its_axis():
    told = take_domain(training(), CT).warnings(scan((20, 80, 18)))
    assert told == ("field of view 80 mm along the back-front axis; training scans had 22",)


def test_ct_without_its_rescaling_is_told_and_the_gain_of_an_mr_scanner_is_not():
    ct = take_domain(training(shift=-1000), CT)
    told = ct.warnings(scan(shift=24))
    assert len(told) == 3
    assert told[0].startswith("'CT' has its 1st percentile at ")
    assert "; training scans had -9" in told[0]
    mr = take_domain(training(), MR)
    assert mr.warnings(scan(gain=1000, shift=77)) == ()


def test_an_mr_scan_of_another_contrast_is_told_in_deviations():
    mr = take_domain(training(), MR)
    other = scan()
    other.array[...] = -other.array
    told = mr.warnings(other)
    assert any("deviations from the scan's mean; training scans had" in t for t in told)


def test_axes_that_never_occurred_are_told():
    scans = [*training(10), *training(10, axes=(-1, -1, 1))]
    domain = take_domain(scans, CT)
    assert domain.orientations == ("LPS", "RAS")
    assert domain.warnings(scan(axes=(-1, -1, 1))) == ()
    (told,) = domain.warnings(scan(axes=(1, -1, -1)))
    assert told.startswith("axes stored as RPI; training scans had LPS, RAS")


def test_a_tilted_scan_is_told():
    angle = np.radians(30)
    turn = np.array(
        [[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]]
    )
    told = take_domain(training(), CT).warnings(scan(turn=turn))
    assert told == ("tilted by 30 degrees against the body's axes; training scans by at most 0",)


def test_pictures_have_a_field_of_view_in_pixels():
    plan = make_plan(spacing=(1.0, 1.0), patch=(8, 8), normalisation=(Normalisation(kind="scale"),))

    def picture(rows):
        image = RNG.integers(0, 255, (1, rows, 100)).astype(np.uint8)
        grid = Grid(shape=(rows, 100), affine=np.eye(4))
        return Volume(array=image, affine=np.eye(4), source=grid)

    domain = take_domain([picture(rows) for rows in range(90, 110)], plan)
    assert domain.orientations == ()
    assert domain.warnings(picture(115)) == ()
    assert domain.warnings(picture(400)) == (
        "field of view 400 along the row axis; training scans had 90 to 109",
    )


def test_a_fingerprint_tells_of_the_grid_alone():
    facts = tuple(
        CaseFacts(id=str(i), shape=(20, 22, 18), spacing=(1, 1, mm), box=(20, 22, 18), voxels={})
        for i, mm in enumerate((0.8, 1.0, 1.2))
    )
    found = Fingerprint(
        dims=3,
        channels=("CT",),
        labels=Labels.from_names({"a": 1}),
        cases=facts,
        intensities=(),
    )
    domain = take_domain(found, CT)
    assert (domain.cases, domain.intensities, domain.orientations) == (3, (), ())
    assert domain.warnings(scan(shift=1e6, axes=(-1, 1, 1))) == ()
    (told,) = domain.warnings(scan((20, 22, 4), (1.0, 1.0, 5.0)))
    assert told.startswith("spacing 5 mm")


def test_a_domain_goes_through_json_and_names_no_one():
    domain = take_domain(training(), MR)
    text = json.dumps(domain.to_json())
    assert Domain.from_json(json.loads(text)) == domain
    with pytest.raises(DataError, match="the input domain cannot be read: KeyError"):
        Domain.from_json({"cases": 3})


def test_another_kind_of_scan_is_refused():
    domain = take_domain(training(3), CT)
    two = np.zeros((2, 5, 5, 5), np.float32)
    grid = Grid(shape=(5, 5, 5), affine=np.eye(4))
    with pytest.raises(DataError, match="has 3 axes and 2 channels; the training scans had 3 and"):
        domain.warnings(Volume(array=two, affine=np.eye(4), source=grid))
    with pytest.raises(ValueError, match="a domain needs at least one scan"):
        take_domain([], CT)


def test_held_out_scans_of_the_same_set_are_seldom_warned_of(real_data):
    """Half of them against the other half, both ways."""
    dataset = read_dataset(real_data / "Task04_Hippocampus")
    scans = [read_volume(case.images[0]) for case in dataset.cases[::2]]
    order = np.random.default_rng(0).permutation(len(scans))
    alarms = []
    for train, test in ((order[::2], order[1::2]), (order[1::2], order[::2])):
        domain = take_domain([scans[i] for i in train], MR)
        alarms += [bool(domain.warnings(scans[i])) for i in test]
    assert np.mean(alarms) < 0.03
