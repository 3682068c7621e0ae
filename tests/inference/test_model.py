from dataclasses import replace

import pytest
from toy_models import FLAT, OVERLAPPING, Threshold, make_model, make_plan

from delineate.inference import Committee, Model


def test_a_model_without_a_network_is_refused():
    with pytest.raises(ValueError, match="a model needs at least one network"):
        Model(networks=(), plan=make_plan())


def test_a_model_knows_what_it_needs_and_draws():
    model = make_model()
    assert (model.channels, model.dims, model.labels.names) == (("MR",), 3, ("a", "b"))


def test_moving_a_model_puts_all_its_networks_into_evaluation_mode():
    first, second = Threshold().train(), Threshold().train()
    committee = Committee(models=(make_model(first), make_model(second)))
    assert committee.to("cpu") is committee
    assert not first.training
    assert not second.training


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": OVERLAPPING}, "the same labels"),
        ({"channels": ("CT",)}, "the same channels, but there are MR and CT"),
        (FLAT, "the same dims, but there are 3 and 2"),
    ],
)
def test_a_committee_must_speak_of_the_same_things(changes, message):
    other = make_model(plan=replace(make_plan(), **changes))
    with pytest.raises(ValueError, match=message):
        Committee(models=(make_model(), other))


def test_a_committee_without_a_model_is_refused():
    with pytest.raises(ValueError, match="a committee needs at least one model"):
        Committee(models=())
