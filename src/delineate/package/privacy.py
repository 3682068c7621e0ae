"""No name of a case, a person or a folder leaves with a model.

What goes into a package is put together from facts that hold none. This is the second lock: a class
named after a patient, or a network whose argument is a path, is found here.
"""

import re
from collections.abc import Collection, Mapping
from pathlib import Path

from delineate.package.refusals import PrivateText

__all__ = ["private_words", "refuse_private"]

SHORTEST = 4
"""Shorter names, such as 12 or CT, stand in every text and tell nobody."""


def private_words(cases: Collection[str], paths: Collection[Path | str]) -> frozenset[str]:
    """What may not be in a text: ids of cases, and folders as they were given and in full."""
    folders = {str(p) for path in paths for p in (path, Path(path).absolute())}
    # A relative folder of one step, such as `scans`, is a word like any other.
    words = {case for case in cases if _telling(case)} | {f for f in folders if "/" in f.strip("/")}
    return frozenset(word for word in words | {str(Path.home())} if len(word) >= SHORTEST)


def refuse_private(path: Path, texts: Mapping[str, str], words: Collection[str]) -> None:
    """A text that holds one of the words, whole, is a PrivateText that says where."""
    if not words:
        return
    longest_first = sorted(words, key=lambda word: (-len(word), word))
    private = re.compile(rf"(?<![\w.])({'|'.join(map(re.escape, longest_first))})(?!\w|\.\d)")
    for name, text in texts.items():
        for number, line in enumerate(text.splitlines(), 1):
            found = private.search(line)
            if found:
                raise PrivateText(
                    f"{path}: nothing is written, as line {number} of {name} would hold "
                    f"'{found[1]}', the name of a case or a folder of this machine. Fix: rename "
                    "the class, channel or argument of the network that brings it there."
                )


def _telling(case: str) -> bool:
    """Not a bare small number or a plain word, which stand for much else."""
    if case.isdigit():
        return len(case) > SHORTEST
    return any(c.isdigit() or c in "_- " for c in case)
