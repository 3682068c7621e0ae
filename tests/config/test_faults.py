from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge, Gt
from pydantic import BaseModel, BeforeValidator, ConfigDict, field_validator

from delineate.config.faults import validated
from delineate.config.places import Place
from delineate.errors import ConfigError


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Inner(Section):
    size: Annotated[int, Ge(1)]
    kind: Literal["slow", "fast"] = "slow"
    rates: tuple[Annotated[float, Gt(0)], ...] = ()


class Outer(Section):
    inner: Inner | None = None
    listed: Annotated[
        tuple[Inner, ...], BeforeValidator(lambda v: [{"size": v}] if isinstance(v, int) else v)
    ] = ()
    named: dict[str, Inner] = {}
    either: Inner | int = 1
    free: dict[str, Any] = {}

    @field_validator("free")
    @classmethod
    def _no_a(cls, free: dict[str, Any]) -> dict[str, Any]:
        if "a" in free:
            raise ValueError("holds an a.")
        return free


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"innr": 1}, "unknown key 'innr'. Did you mean 'inner'?"),
        ({"x": 1}, "unknown key 'x'. There are: inner, listed, named, either and free."),
        ({"inner": {"sizes": 1, "size": 1}}, "unknown key 'inner.sizes'. Did you mean 'size'?"),
        ({"inner": {}}, "missing key 'inner.size'. Fix: add it."),
        ({"inner": 3}, "inner wants a section of keys or null, got 3."),
        ({"listed": [{}]}, "missing key 'listed.0.size'. Fix: add it."),
        ({"listed": 0}, "listed.0.size wants a whole number of at least 1, got 0."),
        ({"listed": "ab"}, "listed wants a list of sections of keys, got 'ab'."),
        ({"named": {"a": {"size": 0}}}, "named.a.size wants a whole number of at least 1, got 0."),
        ({"named": []}, "named wants a mapping of names to sections of keys, got []."),
        ({"either": {"x": 1}}, "either wants a section of keys or a whole number, got {x: 1}."),
        ({"free": 1}, "free wants a mapping of names to values, got 1."),
        ({"free": {"a": 1}}, "free holds an a."),
        (
            {"inner": {"size": 1, "kind": "fats"}},
            "inner.kind wants slow or fast, got 'fats'. Did you mean 'fast'?",
        ),
        (
            {"inner": {"size": 1, "rates": [1, -1, -2]}},
            "inner.rates wants a list of numbers above 0, got [1, -1, -2].",
        ),
    ],
)
def test_what_is_wrong_is_told_with_what_is_wanted(data: dict[str, Any], message: str):
    with pytest.raises(ConfigError) as caught:
        validated(Outer, data, {(): Place("a.yaml")})
    assert str(caught.value) == f"a.yaml: {message}"


def test_all_that_is_wrong_is_told_at_once_where_it_stands():
    places = {(): Place("a.yaml"), ("inner", "rates", 1): Place("a.yaml", 4)}
    data = {"inner": {"size": 0, "rates": [1, "x"]}, "x": 1}
    with pytest.raises(ConfigError) as caught:
        validated(Outer, data, places)
    assert str(caught.value).splitlines() == [
        "a.yaml:4: inner.rates wants a list of numbers above 0, got [1, 'x'].",
        "a.yaml: inner.size wants a whole number of at least 1, got 0.",
        "a.yaml: unknown key 'x'. There are: inner, listed, named, either and free.",
    ]


def test_what_is_right_is_returned():
    assert validated(Outer, {"listed": 2}, {}).listed == (Inner(size=2),)
