import math

import pytest

from delineate.config.places import Place
from delineate.config.yaml_text import read_yaml, write_yaml
from delineate.errors import ConfigError


def read(text: str):
    return read_yaml(text, lambda line: Place("a.yaml", line))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E5", 1e5),
        ("-.5", -0.5),
        ("3.", 3.0),
        ("010", 10),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("2024-01-01", "2024-01-01"),
        ("true", True),
        ("y", "y"),
        ("~", None),
        ("", None),
        ("'no'", "no"),
        ("!!str 5", "5"),
        ("-.inf", -math.inf),
    ],
)
def test_a_scalar_is_what_yaml_1_2_says(text, value):
    found = read(text)
    assert found.data == value
    assert type(found.data) is type(value)
    assert not found.mistakes


def test_numbers_that_yaml_1_1_takes_for_text_survive_the_round_trip():
    value = {"a": 1e-05, "b": "1e-5", "c": "no", "d": "yes", "e": 1e20, "f": "", "g": "null"}
    value |= {"h": [1, [2.0]], "i": "010", "j": "true", "k": ["on"], "l": None, "m": "a: b #c"}
    found = read(write_yaml(value))
    assert found.data == value
    assert not found.mistakes


@pytest.mark.parametrize(("text", "meant"), [("no", "false"), ("On", "true"), ("YES", "true")])
def test_a_bare_yes_or_no_is_refused_whatever_was_meant(text, meant):
    (mistake,) = read(f"a:\n  b: {text}").mistakes
    assert str(mistake) == (
        f"a.yaml:2: a.b is a bare {text}, which some read as {meant} and some as text. "
        f"Fix: write {meant}, or '{text}' in quotes."
    )


def test_every_key_and_entry_knows_its_line():
    places = read("a:\n  b: 1\n  c:\n    - d: 2\n    - 3\n").places
    lines = {key: place.line for key, place in places.items()}
    assert lines == {
        (): 1,
        ("a",): 1,
        ("a", "b"): 2,
        ("a", "c"): 3,
        ("a", "c", 0): 4,
        ("a", "c", 0, "d"): 4,
        ("a", "c", 1): 5,
    }


def test_a_key_that_stands_twice_is_a_mistake_that_names_both_lines():
    found = read("a:\n  b: 1\n\n  b: 2\n")
    assert [str(m) for m in found.mistakes] == ["a.yaml:4: 'a.b' stands twice, first in line 2."]


def test_other_oddities_are_named():
    texts = [str(m) for m in read("a: !mine 3\nb: !!int x\n? [c]\n: 1\n").mistakes]
    assert texts == [
        "a.yaml:1: a has the unknown tag '!mine'.",
        "a.yaml:2: b is tagged !!int but reads 'x'.",
        "a.yaml:3: a key must be plain text.",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a:\n\tb: 1\n", "a.yaml:2: a tab cannot indent YAML. Fix: use spaces."),
        (
            "x: 1\na: b: 1\n",
            "a.yaml:2: not YAML: a second ':' in one line, or an indent that does not match. "
            "Fix: put the value in quotes, or align the keys.",
        ),
        (
            "a: [1,\nb: 2",
            "a.yaml:2: not YAML: while parsing a flow sequence, expected ',' or ']', ",
        ),
        ("a: 'x\n", "a.yaml:2: not YAML: while scanning a quoted scalar, found unexpected end of "),
        ("a: 1\nb: \x01", "a.yaml:2: not YAML: there is a character that text cannot hold."),
        ("a: *b", "a.yaml:1: not YAML: found undefined alias 'b'."),
        ("a: &a [*a]", "a.yaml:1: an alias (*name) grows without end. Fix: write the values out."),
        ("a: 1\n---\nb: 2", "a.yaml:2: not YAML: expected a single document in the stream, but "),
    ],
)
def test_what_is_not_yaml_is_refused_with_file_and_line(text, message):
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert str(caught.value).startswith(message)


def test_aliases_that_multiply_are_stopped():
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    with pytest.raises(ConfigError, match="grows without end"):
        read("\n".join(rows))


def test_an_ordinary_alias_is_read():
    assert read("a: &x [1, 2]\nb: *x").data == {"a": [1, 2], "b": [1, 2]}
