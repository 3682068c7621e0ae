"""From the parts of a configuration to objects, their arguments checked before any data is read."""

from collections.abc import Callable, Collection, Iterator
from typing import Any

from delineate.config.arguments import fit, is_ours, parameters, wrong_arguments
from delineate.config.places import Key, Mistake, Places, dotted, find_place, refuse
from delineate.config.resolve import resolve
from delineate.config.schema import Config, Part
from delineate.errors import ConfigError

__all__ = ["SUPPLIED", "build", "check", "check_parts"]

NETWORK = frozenset({"features", "strides", "kernels", "convolutions"})
"""The plan's topology: one thing in four arguments, with a meaning of its own here."""
SPELLINGS = {
    "in_chans": "in_channels",
    "n_input_channels": "in_channels",
    "num_classes": "out_channels",
    "n_classes": "out_channels",
    "classes": "out_channels",
}
"""What other packages call what the engine supplies."""
SUPPLIED = {
    "delineate.models": NETWORK
    | {"in_channels", "out_channels", "spatial_dims", "img_size", "labels"},
    "delineate.losses": frozenset({"overlapping", "labels"}),
    "delineate.augment": frozenset({"mirror", "mirror_axis", "labels"}),
    "torch.optim": frozenset({"params"}),
    "delineate.engine.schedules": frozenset({"optimizer"}),
    "delineate.tracking": frozenset({"folder", "name"}),
}
"""What the engine knows and gives to a part that takes it, by the part's package."""


def build(part: Part, package: str, **supplied: Any) -> Any:
    """Construct a part from its own arguments and whatever it takes of `supplied`.

    The part's own arguments come first. A constructor's ValueError or TypeError is a ConfigError.
    """
    constructor = resolve(part.name, package)
    own = part.arguments
    names = _takes(constructor, supplied)
    given = {n: supplied[SPELLINGS.get(n, n)] for n in names if n not in own}
    check(part, package, supplied=given)
    try:
        return constructor(**given, **fit(constructor, own))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{part.name} refuses its arguments: {error}") from error


def check(part: Part, package: str, *, supplied: Collection[str] | None = None) -> None:
    """Compare a part's arguments with its constructor's signature; mistakes are one ConfigError.

    Args:
        supplied: The arguments that come from elsewhere; by default what the package's parts get.
    """
    refuse(_mistakes(part, package, (part.name,), {}, supplied=supplied))


def check_parts(config: Config) -> None:
    """Check every part of a configuration; all that is wrong with them is one ConfigError."""
    parts: list[tuple[Key, Part, str]] = [
        (("model",), config.model, "delineate.models"),
        *((("loss", i), term, "delineate.losses") for i, term in enumerate(config.loss)),
        *((("augment", i), part, "delineate.augment") for i, part in enumerate(config.augment)),
        (("optimizer",), config.optimizer, "torch.optim"),
        (("schedule",), config.schedule, "delineate.engine.schedules"),
        *((("track", i), part, "delineate.tracking") for i, part in enumerate(config.track)),
    ]
    refuse(
        mistake
        for key, part, package in parts
        for mistake in _mistakes(part, package, key, config.places)
    )


def _mistakes(
    part: Part,
    package: str,
    key: Key,
    places: Places,
    *,
    supplied: Collection[str] | None = None,
) -> Iterator[Mistake]:
    try:
        constructor = resolve(part.name, package)
    except ConfigError as error:
        name = (*key, "name")
        yield Mistake(name, find_place(name, places), f"{dotted(name)}: {error}")
        return
    given = _takes(constructor, SUPPLIED[package] if supplied is None else supplied)
    for argument, problem in wrong_arguments(constructor, part.arguments, given):
        place = find_place((*key, argument) if argument else key, places)
        yield Mistake(key, place, f"{_call(key, part)}: {problem}")


def _takes(constructor: Callable[..., Any], supplied: Collection[str]) -> frozenset[str]:
    """The supplied arguments that a constructor names.

    The topology goes to our own networks and to those that name all four of its arguments:
    elsewhere `features` or `strides` alone means something else.
    """
    known = set(parameters(constructor))
    if is_ours(constructor):
        return frozenset(known & set(supplied))
    if constructor.__module__.partition(".")[0] == "timm":
        known |= {"in_chans", "num_classes"}  # its functions hand their keywords on
    taken = known & set(supplied)
    if not known >= NETWORK:
        taken -= NETWORK
    spelled = {n for n, ours in SPELLINGS.items() if ours in supplied and ours not in known}
    return frozenset(taken | (known & spelled))


def _call(key: Key, part: Part) -> str:
    """What messages call a part: loss.0 (Dice), or its name alone where it stands in no list."""
    return part.name if key == (part.name,) else f"{dotted(key)} ({part.name})"
