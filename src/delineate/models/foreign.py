"""What a network from elsewhere returns, as an Output."""

from collections.abc import Sequence

from torch import Tensor

from delineate.contracts import Output

__all__ = ["as_output"]


def as_output(result: object) -> Output:
    """An Output from a plain tensor, or from a sequence of logits, full resolution first."""
    if isinstance(result, Output):
        return result
    if isinstance(result, Tensor):
        return Output(logits=result)
    if isinstance(result, Sequence) and result and all(isinstance(r, Tensor) for r in result):
        return Output(logits=result[0], deep=tuple(result[1:]))
    raise ValueError(
        f"the network returned {_describe(result)}. Fix: return the logits (b, k, *s), "
        "a list of logits with the full resolution first, or a delineate.contracts.Output."
    )


def _describe(result: object) -> str:
    if isinstance(result, Sequence) and not isinstance(result, str):
        kinds = ", ".join(sorted({type(r).__name__ for r in result})) or "nothing"
        return f"a {type(result).__name__} of {kinds}"
    return f"a {type(result).__name__}"
