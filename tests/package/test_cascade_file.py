"""cascade.yaml: read strictly, every mistake with its line."""

import pytest
from thresholds import model

from delineate.errors import ConfigError, DataError
from delineate.inference.cascade import Focus, Gate, Given, PresenceGate, Segment
from delineate.labels import Class, Labels
from delineate.package.cascade_file import build_cascade, parse_cascade

WHOLE = """\
stages:
  - name: there
    model: gate.zip
    does: presence_gate
    structure: a
    probability: 0.2
  - {name: some, model: gate.zip, does: gate, structure: b, least_mm3: 100}
  - name: where
    model: runs/coarse
    does: focus
    structure: b
    margin_mm: 30
    least_mm3: 5.5
    otherwise: background
    answer: {b: 4}
  - name: what
    model: runs/fine
    does: segment
    given: {stage: where, what: mask}
"""


def read(text, **models):
    labels = Labels(classes=(Class(name="c", id=1), Class(name="d", id=3)))
    fine = model(channels=("MR", "m"), labels=labels)
    found = {"gate.zip": model(), "runs/coarse": model(), "runs/fine": fine}
    return build_cascade(parse_cascade(text, "c.yaml"), (found | models).__getitem__, "c.yaml")


def told(text):
    with pytest.raises((ConfigError, DataError)) as caught:
        read(text)
    return str(caught.value)


def test_every_key_is_read():
    there, some, where, what = read(WHOLE).stages
    assert there.does == PresenceGate(structure="a", probability=0.2)
    assert some.does == Gate(structure="b", least_mm3=100.0)
    assert where.does == Focus(structure="b", margin_mm=30.0, least_mm3=5.5, otherwise="background")
    assert (where.answer, what.answer) == ({"b": 4}, None)
    assert (what.does, what.given) == (Segment(), Given(stage="where", what="mask"))


def test_json_is_read_too():
    text = '{"stages": [{"name": "one", "model": "gate.zip", "does": "segment"}]}'
    assert read(text).stages[0].name == "one"


@pytest.mark.parametrize(
    ("line", "wrong", "message"),
    [
        ("    margin_mm: 30", "    margin: 30",
         "c.yaml:12: unknown key 'stages.2.margin'. Did you mean 'margin_mm'?"),
        ("    margin_mm: 30", "    margin_mm: wide",
         "c.yaml:12: stages.2.margin_mm wants a number of at least 0, got 'wide'."),
        ("    margin_mm: 30", "    margin_mm: -1",
         "c.yaml:12: stages.2.margin_mm wants a number of at least 0, got -1."),
        ("    otherwise: background", "    otherwise: stop",
         "c.yaml:14: stages.2.otherwise wants whole or background, got 'stop'."),
        ("    does: segment", "    does: draw",
         "c.yaml:18: stages.3.does wants gate, presence_gate, focus or segment, got 'draw'."),
        ("    model: runs/fine\n", "", "c.yaml:16: missing key 'stages.3.model'. Fix: add it."),
        ("what: mask}", "what: ids}",
         "c.yaml:19: stages.3.given.what wants mask, classes or probabilities, got 'ids'."),
        ("{stage: where, what: mask}", "where",
         "c.yaml:19: stages.3.given wants a section of keys or null, got 'where'."),
        ("answer: {b: 4}", "answer: {b: four}",
         "c.yaml:15: stages.2.answer.b wants a whole number, got 'four'."),
        ("    probability: 0.2", "    probability: 2",
         "c.yaml:6: stages.0.probability wants a number of at least 0 and up to 1, got 2."),
        ("    probability: 0.2", "    margin_mm: 2",
         "c.yaml:6: unknown key 'stages.0.margin_mm'. There are: name, model, does, given, answer, "
         "structure and probability."),
        ("stage: where", "stage: elsewhere",
         "c.yaml: stage 'what': it is given what 'elsewhere' has found, but before it there is "
         "there, some, where."),
        ("answer: {b: 4}", "answer: {b: 3}",
         "c.yaml: the label id 3 is used twice. Fix: say which classes each stage answers, and "
         "under which ids, such as answer: {d: 4}."),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_line(line, wrong, message):
    assert line in WHOLE
    found = told(WHOLE.replace(line, wrong))
    assert message in found.splitlines()


def test_all_mistakes_are_told_at_once():
    text = WHOLE.replace("margin_mm: 30", "margin: 30").replace("name: what", "title: what")
    assert [part.split(":")[1] for part in told(text).splitlines()] == ["12", "16", "16"]


@pytest.mark.parametrize("text", ["", "stages:", "stages: []", "- a", "stages: {a: b}", "a: 1"])
def test_what_is_no_list_of_stages_is_refused(text):
    assert told(text).startswith("c.yaml: a cascade is a list of stages, got ")


def test_a_stage_that_is_no_section_is_refused():
    assert told("stages: [segment]") == (
        "c.yaml:1: stages.0 wants a section of keys, got 'segment'."
    )
