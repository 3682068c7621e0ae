"""Networks from elsewhere: what they return becomes an Output."""

import pytest
import torch

from delineate.contracts import Output
from delineate.models import as_output


def test_a_plain_tensor_is_the_logits():
    logits = torch.randn(1, 2, 4, 4)
    assert as_output(logits).logits is logits


def test_a_list_is_full_resolution_then_deep():
    fine, half, quarter = (torch.randn(1, 2, s, s) for s in (8, 4, 2))
    output = as_output([fine, half, quarter])
    assert output.logits is fine
    assert output.deep == (half, quarter)


def test_an_output_passes_through():
    output = Output(logits=None)
    assert as_output(output) is output


@pytest.mark.parametrize(
    ("result", "what"),
    [({"out": 1}, "a dict"), ((), "a tuple of nothing"), ([1, 2], "a list of int")],
)
def test_anything_else_says_what_to_return(result, what):
    with pytest.raises(ValueError) as error:
        as_output(result)
    assert str(error.value) == (
        f"the network returned {what}. Fix: return the logits (b, k, *s), a list of logits with "
        "the full resolution first, or a delineate.contracts.Output."
    )
