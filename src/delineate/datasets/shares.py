"""Places in a row dealt to splits by their shares, evenly all along the row."""

from collections.abc import Mapping

__all__ = ["USUAL", "deal"]

USUAL = {"train": 0.7, "val": 0.2, "test": 0.1}


def deal(number: int, shares: Mapping[str, float]) -> list[str]:
    """A split for each place: the one that is furthest behind its share, the first of equals.

    Every stretch of the row holds the splits in their shares, within one place each; so a row that
    is sorted by something is dealt evenly by it.
    """
    counts = dict.fromkeys(shares, 0)
    dealt = []
    for place in range(1, number + 1):
        # Rounded, so that shares such as 0.7 and 0.2 behave as the decimals that they are.
        behind = {name: round(share * place - counts[name], 9) for name, share in shares.items()}
        chosen = max(behind, key=lambda name: behind[name])
        counts[chosen] += 1
        dealt.append(chosen)
    return dealt
