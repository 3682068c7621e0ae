"""The `params` of a YAML file against the function that takes them."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from delineate.config.arguments import fit, wrong_arguments
from delineate.config.words import did_you_mean, join
from delineate.errors import ConfigError

__all__ = ["arguments", "pick"]

T = TypeVar("T")


def arguments(
    function: Callable[..., Any],
    params: Mapping[str, Any],
    *,
    where: str,
    supplied: Collection[str] = (),
) -> dict[str, Any]:
    """The params as the function takes them; all that is wrong with them is one ConfigError.

    Args:
        function: What they are for, with annotations where it is ours.
        params: As read.
        where: What messages begin with.
        supplied: Arguments that come from elsewhere.
    """
    given = {name: _tuples(value) for name, value in params.items()}
    mistakes = [text for _, text in wrong_arguments(function, given, supplied)]
    if mistakes:
        raise ConfigError(f"{where}: {' '.join(mistakes)}")
    return fit(function, given)


def pick(name: str, known: Mapping[str, T], *, what: str) -> T:
    """What stands under a name; an unknown one is a ConfigError that lists what exists."""
    if name in known:
        return known[name]
    listed = join(sorted(known), "and")
    raise ConfigError(
        f"{what} '{name}' is unknown.{did_you_mean(name, known)} There are: {listed}."
    )


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value
