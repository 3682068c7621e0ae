"""What a prediction frees is kept for its next window, and given back when it ends."""

import sys

import pytest
import torch

from delineate.inference.allocator import (
    TRAINED,
    freed_memory_kept,
    give_back,
    join_splinters,
    zeros,
)
from delineate.inference.forward_memory import held_bytes

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def nothing_kept_from_before():
    """Blocks that other tests freed would be filled again, and nothing more be held."""
    give_back(CPU)


needs_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="other systems do not say what is held"
)


@pytest.mark.parametrize("kind", [torch.float32, torch.float16])
def test_zeros_are_zeros_that_can_be_written(kind):
    found = zeros((2, 3, 5), kind, CPU)
    assert (found.shape, found.dtype) == ((2, 3, 5), kind)
    assert not found.any()
    found += 1
    assert (found == 1).all()
    assert zeros((0, 3), kind, CPU).shape == (0, 3)


@needs_linux
def test_zeros_are_given_back_with_their_tensor_even_while_freed_memory_is_kept():
    with freed_memory_kept():
        before = held_bytes(CPU)
        found = zeros((25_000_000,), torch.float32, CPU)
        found += 1
        assert held_bytes(CPU) - before > 80e6
        del found
        assert held_bytes(CPU) - before < 40e6


@needs_linux
def test_freed_memory_is_kept_and_then_given_back():
    before = held_bytes(CPU)
    with freed_memory_kept():
        block = torch.ones(25_000_000)
        del block
        assert held_bytes(CPU) - before > 80e6
    assert held_bytes(CPU) - before < 40e6


@needs_linux
def test_a_prediction_leaves_freed_memory_kept_for_the_training_around_it():
    with freed_memory_kept():
        with freed_memory_kept():
            pass
        before = held_bytes(CPU)
        block = torch.ones(25_000_000)
        del block
        assert held_bytes(CPU) - before > 80e6


@needs_linux
def test_a_training_gives_back_its_largest_blocks_and_keeps_the_others():
    before = held_bytes(CPU)
    with freed_memory_kept(below=TRAINED):
        large, small = torch.ones(80_000_000), torch.ones(25_000_000)
        del large, small
        assert 80e6 < held_bytes(CPU) - before < 200e6
    assert held_bytes(CPU) - before < 40e6


@needs_linux
def test_many_small_blocks_are_given_back():
    before = held_bytes(CPU)
    blocks = [torch.ones(25_000) for _ in range(1000)]
    assert held_bytes(CPU) - before > 80e6
    del blocks
    give_back(CPU)
    assert held_bytes(CPU) - before < 40e6


def test_a_block_is_as_it_was_when_its_splinters_are_joined():
    block = torch.arange(3_000_000, dtype=torch.float32)
    join_splinters(block)
    assert torch.equal(block, torch.arange(3_000_000, dtype=torch.float32))
