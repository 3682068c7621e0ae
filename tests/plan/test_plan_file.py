"""plan.json: read back as written, and every mistake of a hand named at once."""

import json

import pytest

from delineate.errors import PlanError
from delineate.labels import Class, Labels
from delineate.plan import Network, Normalisation, Plan, read_plan, write_plan

PLAN = Plan(
    channels=("CT", "PET"),
    labels=Labels(
        classes=(
            Class(name="whole"),
            Class(name="left half", id=3, colour=(255, 0, 0), parent="whole"),
            Class(name="right half", id=9, parent="whole"),
        ),
        ignore=255,
        pairs=(("left half", "right half"),),
    ),
    spacing=(0.75, 0.75, 3.0),
    shape=(200, 180, 40),
    crop_nonzero=True,
    normalisation=(
        Normalisation(kind="ct", mean=80.5, deviation=33.25, low=-17.0, high=201.0),
        Normalisation(kind="zscore", nonzero=True),
    ),
    separate_axis=2,
    patch=(96, 80, 24),
    batch_size=3,
    network=Network(
        features=(32, 64, 128),
        strides=((1, 1, 1), (2, 2, 1), (2, 2, 2)),
        kernels=((3, 3, 1), (3, 3, 3), (3, 3, 3)),
        convolutions=(2, 2, 2),
    ),
    memory_gb=3.215,
    reasons={"patch": "As asked for.", "spacing": "The median of 7 cases."},
)


@pytest.fixture
def plan_json(tmp_path):
    path = tmp_path / "plan.json"
    write_plan(PLAN, path)
    return path


def _edit(path, **changes):
    document = json.loads(path.read_text())
    for key, value in changes.items():
        document[key] = value
    path.write_text(json.dumps(document, indent=1))


def _message(path):
    with pytest.raises(PlanError) as error:
        read_plan(path)
    return str(error.value)


def test_a_plan_is_read_as_it_was_written(plan_json):
    assert read_plan(plan_json) == PLAN


def test_vectors_stand_on_one_line_beside_their_reason(plan_json):
    text = plan_json.read_text()

    assert '"patch": {\n    "value": [96, 80, 24],\n    "why": "As asked for."\n  }' in text
    assert '"strides": [[1, 1, 1], [2, 2, 1], [2, 2, 2]]' in text
    assert '"shape": [200, 180, 40]' in text
    assert max(map(len, text.splitlines())) <= 100


def test_a_choice_may_be_written_without_a_reason(plan_json):
    _edit(plan_json, patch=[64, 64, 16])

    plan = read_plan(plan_json)

    assert plan.patch == (64, 64, 16)
    assert "patch" not in plan.reasons


def test_a_plan_of_slices_is_read(plan_json):
    network = {
        "features": [16, 32],
        "strides": [[1, 1], [2, 2]],
        "kernels": [[3, 3], [3, 3]],
        "convolutions": [2, 2],
    }
    _edit(plan_json, patch=[64, 64, 1], network=network)

    assert read_plan(plan_json).slice_axis == 2


def test_writing_replaces_the_file_whole(plan_json):
    write_plan(PLAN, plan_json)

    assert [p.name for p in plan_json.parent.iterdir()] == ["plan.json"]


def test_an_unknown_key_is_named_with_its_line_and_a_suggestion(plan_json):
    plan_json.write_text(plan_json.read_text().replace('"batch_size"', '"batchsize"'))
    line = 1 + plan_json.read_text().split('"batchsize"')[0].count("\n")

    assert _message(plan_json).splitlines() == [
        f"{plan_json}:{line}: batchsize: unknown key. Did you mean 'batch_size'?",
        f"{plan_json}: batch_size: is missing.",
    ]


def test_a_patch_that_the_strides_do_not_divide_is_named_with_the_nearest(plan_json):
    _edit(plan_json, patch=[96, 82, 24])

    assert _message(plan_json).endswith(
        "patch: 82 on axis 1 is not divisible by the network's total stride 4. Fix: 80 or 84."
    )


def test_all_mistakes_are_told_at_once(plan_json):
    _edit(
        plan_json,
        spacing=[1, 0, 1],
        batch_size=2.5,
        crop_nonzero="yes",
        normalisation=[{"kind": "z-score"}, {"kind": "ct", "low": 5, "high": 5, "men": 3}],
        separate_axis=-1,
    )

    told = _message(plan_json)

    assert "spacing: must be a list of mm above 0, got [1, 0, 1]." in told
    assert "batch_size: must be a whole number above 0, got 2.5." in told
    assert "crop_nonzero: must be true or false, got 'yes'." in told
    assert "normalisation[0]: kind must be one of zscore, ct, scale, none; got 'z-score'" in told
    assert "Did you mean 'zscore'?" in told
    assert "normalisation[1]: unknown key 'men'. Did you mean 'mean'?" in told
    assert "normalisation[1]: low must be less than high, both are needed for 'ct'." in told
    assert "separate_axis: must be an axis (0, 1, 2) or null, got -1." in told


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"patch": [96, 80]},
            "patch: has 2 entries but 'spacing' has 3. Fix: one per axis.",
        ),
        (
            {"normalisation": [{"kind": "none"}]},
            "normalisation: has 1 entries for 2 channels (CT, PET). Fix: one per channel.",
        ),
        ({"separate_axis": 3}, "separate_axis: 3 is none of the 3 axes."),
        ({"labels": {"classes": []}}, "labels.classes: must be a list of at least one class."),
        (
            {"labels": {"classes": [{"name": "a", "id": 1}, {"name": "b", "id": 1}]}},
            "labels: the label id 1 is used twice.",
        ),
        (
            {"labels": {"classes": [{"name": "a", "idd": 1}]}},
            "labels.classes[0]: unknown key 'idd'. Did you mean 'id'?",
        ),
        ({"channels": "CT"}, "channels: must be a list of names, got 'CT'."),
        ({"memory_gb": "lots"}, "memory_gb: must be a number of GB, got 'lots'."),
        ({"network": {}}, "network.strides: is missing."),
        (
            {"patch": {"value": [96, 80, 24], "because": "so"}},
            "patch: unknown key 'because' beside 'value' and 'why'.",
        ),
    ],
)
def test_a_mistake_is_named_by_its_key(plan_json, changes, told):
    _edit(plan_json, **changes)

    assert told in _message(plan_json)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("features", [32, 64], "network: needs one entry per stage in each list; got features 2,"),
        ("strides", [[2, 2, 2]] * 3, "network.strides: the first must be all 1, got [2, 2, 2]."),
        ("kernels", [[2, 3, 3]] * 3, "network.kernels: must be odd, so that sizes are kept."),
        ("kernels", [[3, 3]] * 3, "network: strides and kernels must all have the same number"),
        ("convolutions", [2, 2, 0], "network.convolutions: must be a list of whole numbers"),
    ],
)
def test_a_network_that_cannot_be_built_is_named(plan_json, key, value, told):
    network = json.loads(plan_json.read_text())["network"]
    _edit(plan_json, network={**network, key: value})

    assert told in _message(plan_json)


def test_a_file_that_is_not_json_is_named_with_the_line(plan_json):
    plan_json.write_text('{\n"patch": [1, 2,\n}')

    assert _message(plan_json).startswith(f"{plan_json}:3: not JSON: ")


def test_a_missing_file_is_named(tmp_path):
    assert _message(tmp_path / "plan.json") == (
        f"{tmp_path / 'plan.json'}: no such file. Fix: delineate plan writes it."
    )


def test_a_list_is_not_a_plan(plan_json):
    plan_json.write_text("[]")

    assert _message(plan_json) == f"{plan_json}: a plan is a JSON object, got list."
