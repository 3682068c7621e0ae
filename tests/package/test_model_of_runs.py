"""A model from run folders: which runs, which axes are mirrored, what the scans looked like."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from finished_runs import PLAN, changed, finish, write_scans

from delineate.config import Config, Data, Part, Predict
from delineate.errors import DataError
from delineate.inference.domain import Domain, Span
from delineate.package import find_runs, list_cases, mirrored_axes, model_of

DOMAIN = Domain(
    cases=2,
    channels=("T2",),
    normalisation=PLAN.normalisation,
    spacing=(Span(1.0, 1.0),) * 3,
    field_of_view=(Span(100.0, 120.0),) * 3,
    intensities=((Span(-2.0, -1.0), Span(0.0, 0.1), Span(1.0, 2.0)),),
    orientations=("LPS",),
    tilt=3.0,
)


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scans(tmp_path_factory.mktemp("scans") / "all")


def test_folds_come_in_their_order_and_a_run_with_folds_beside_it_is_one_run(
    scans: Path, tmp_path: Path
):
    for fold in (0, 1, 2, 10):
        finish(tmp_path / "crossed" / f"fold_{fold}", scans, held_out=(fold % 4,))
    runs = find_runs([tmp_path / "crossed"])
    assert [run.path.name for run in runs] == ["fold_0", "fold_1", "fold_2", "fold_10"]
    assert len(list_cases(runs, "training")) == 4
    assert len(find_runs([tmp_path / "crossed" / "fold_1"])) == 1


def test_a_folder_without_a_run_is_named(tmp_path: Path):
    with pytest.raises(DataError, match="not the folder of a training that came to an end"):
        find_runs([tmp_path])
    with pytest.raises(DataError, match="no run is given"):
        find_runs([])


@pytest.mark.parametrize(
    ("parts", "axes"),
    [
        ((), ()),
        ((Part(name="Noise"),), ()),
        ((Part(name="Flip"),), (0, 1, 2)),
        ((Part(name="Flip", axes=(0, 2)),), (0, 2)),
        ((Part(name="Flip", axes="left_right"),), (0,)),
    ],
)
def test_only_axes_that_training_mirrored_are_mirrored(parts: tuple, axes: tuple):
    config = Config(data=Data(root=Path("scans")), augment=parts)
    assert mirrored_axes(config, PLAN) == axes


def test_axes_of_a_network_for_slices_are_those_it_sees():
    network = replace(
        PLAN.network, strides=((1, 1), (2, 2), (2, 2)), kernels=((3, 3),) * 3
    )  # fmt: skip
    plan = changed(patch=(16, 1, 16), network=network)
    config = Config(data=Data(root=Path("scans")), augment=(Part(name="Flip", axes=(0, 1)),))
    assert mirrored_axes(config, plan) == (0, 2)


def test_a_run_that_asks_for_flips_and_overlap_gets_them(scans: Path, tmp_path: Path):
    wishes = {"augment": (Part(name="Flip"),), "predict": Predict(flips=True, overlap=0.25)}
    model = model_of([finish(tmp_path / "run", scans, **wishes)])
    assert (model.flips, model.overlap) == ((0, 1, 2), 0.25)


def test_domains_that_folds_have_noted_become_one(scans: Path, tmp_path: Path):
    other = replace(
        DOMAIN,
        spacing=(Span(0.5, 2.0),) * 3,
        intensities=((Span(-3.0, -2.0), Span(0.0, 0.0), Span(1.0, 5.0)),),
        orientations=("RAS",),
        tilt=7.0,
    )
    for fold, domain in enumerate((DOMAIN, other)):
        run = finish(tmp_path / "crossed" / f"fold_{fold}", scans, held_out=(fold,))
        (run / "domain.json").write_text(json.dumps(domain.to_json()))
    assert model_of([tmp_path / "crossed"]).domain == replace(
        DOMAIN,
        cases=4,
        spacing=(Span(0.5, 2.0),) * 3,
        intensities=((Span(-3.0, -1.0), Span(0.0, 0.1), Span(1.0, 5.0)),),
        orientations=("LPS", "RAS"),
        tilt=7.0,
    )


def test_scans_are_looked_at_only_where_somebody_waits_for_it(scans: Path, tmp_path: Path):
    run = finish(tmp_path / "run", scans)
    assert model_of([run]).domain is None
    looked = []

    def show(items, total, description):
        looked.append((total, description))
        return items

    domain = model_of([run], progress=show).domain
    assert domain is not None
    assert looked == [(2, "looking at scans")]
    assert (domain.cases, str(domain.field_of_view[0])) == (2, "20")
