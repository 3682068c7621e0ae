"""The transformer block against attention written out, and its memory."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from delineate.models.hybrid_blocks import silence
from delineate.models.hybrid_transformer import HEAD, HeadNorm, TransformerBlock, attend
from delineate.plan.dry_run import Ledger


def drawn(part: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(1)
    for weight in part.parameters():
        nn.init.normal_(weight, 0, 0.1, generator=generator)
    return part.eval()


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(2))


def averaged(features: torch.Tensor, window: int) -> torch.Tensor:
    """Tokens (b, m, c): the mean of each window by hand, those at the border smaller."""
    size = features.shape[2:]
    starts = itertools.product(*(range(0, n, window) for n in size))
    means = [
        features[(..., *(slice(i, i + window) for i in start))].flatten(2).mean(2)
        for start in starts
    ]
    return torch.stack(means, 1)


@pytest.mark.parametrize(
    ("level", "window", "size"),
    [(2, 2, (4, 6, 2)), (2, 2, (5, 3)), (3, 1, (2, 3, 2)), (4, 1, (3,) * 2)],
)
def test_the_block_is_attention_written_out(level, window, size):
    block = drawn(TransformerBlock(64, len(size), level=level, dropout=0.5))
    x = draw(2, 64, *size)

    def norm(part, tokens):
        heads = [
            F.layer_norm(head, (HEAD,), w, b)
            for head, w, b in zip(
                tokens.split(HEAD, -1), part.weight.split(HEAD), part.bias.split(HEAD), strict=True
            )
        ]
        return torch.cat(heads, -1)

    placed = x + block.position(x)
    tokens = placed.flatten(2).transpose(1, 2)
    normed = norm(block.attention_norm, tokens)
    asked = averaged(normed.transpose(1, 2).unflatten(2, size), window)
    query, answers = block.query(normed), []
    for head in range(2):
        rows = block.key_value.weight[2 * HEAD * head : 2 * HEAD * (head + 1)]
        key, value = asked @ rows[:HEAD].T, asked @ rows[HEAD:].T
        scores = query[..., HEAD * head : HEAD * (head + 1)] @ key.transpose(1, 2)
        answers.append((scores / HEAD**0.5).softmax(-1) @ value)
    tokens = tokens + block.merge(torch.cat(answers, -1))
    tokens = tokens + block.narrow(F.gelu(block.widen(norm(block.feed_norm, tokens))))
    expected = tokens.transpose(1, 2).unflatten(2, size)
    torch.testing.assert_close(block(x), expected, rtol=1e-4, atol=1e-5)


def test_a_norm_of_one_head_is_layer_normalisation():
    norm, tokens = drawn(HeadNorm(HEAD)), draw(2, 5, HEAD)
    torch.testing.assert_close(norm(tokens), F.layer_norm(tokens, (HEAD,), norm.weight, norm.bias))


def test_a_silent_block_adds_nothing_to_the_bit():
    block, x = drawn(TransformerBlock(32, 3, level=2, dropout=0.5)), draw(1, 32, 4, 4, 4)
    assert not torch.equal(block(x), x)
    silence(block)
    assert torch.equal(block.train()(x), x)


def test_where_a_voxel_stands_matters():
    block, x = drawn(TransformerBlock(32, 2, level=3, dropout=0.0)), draw(1, 32, 4, 4)
    turned = block(x.flip(2)).flip(2)
    assert not torch.allclose(turned, block(x), atol=1e-3)


def test_counted_on_shapes_no_scores_are_held():
    tokens, width = 4096, 32
    query, key, value = (
        torch.empty(1, 2, tokens, width, device="meta", requires_grad=True) for _ in range(3)
    )
    ledger = Ledger()
    with ledger:
        attend(query, key, value).sum().backward()
    assert ledger.peak < 4 * (20 * 2 * tokens * width) < 4 * 2 * tokens**2 / 5
