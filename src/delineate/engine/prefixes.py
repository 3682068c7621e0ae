"""The beginning of a weight's name, as in `encoder.0.weight`, stands for all the weights below."""

import difflib
from collections.abc import Collection, Iterable

from delineate.errors import ConfigError

__all__ = ["check_prefixes", "longest_prefix"]


def longest_prefix(name: str, prefixes: Iterable[str]) -> str | None:
    """The longest of the prefixes that the name begins with, in whole steps between its dots."""
    fitting = [p for p in prefixes if f"{name}.".startswith(f"{p}.")]
    return max(fitting, key=len, default=None)


def check_prefixes(what: str, prefixes: Iterable[str], names: Collection[str]) -> None:
    """A prefix that no name begins with is a ConfigError with what there is."""
    for prefix in prefixes:
        if not any(longest_prefix(name, [prefix]) for name in names):
            raise ConfigError(_say_unknown(what, prefix, names))


def _say_unknown(what: str, prefix: str, names: Collection[str]) -> str:
    known = {".".join(n.split(".")[:d]) for n in names for d in range(1, n.count(".") + 2)}
    near = difflib.get_close_matches(prefix, sorted(known), n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    tops = ", ".join(dict.fromkeys(n.split(".")[0] for n in names))
    return f"{what}: no weight's name begins with '{prefix}'.{hint} The network has: {tops}."
