import pytest
import torch
from torch import nn

from delineate.engine.muon import Muon, orthogonalise


@pytest.mark.parametrize("shape", [(8, 30), (30, 8), (16, 16), (64, 1728)])
def test_the_singular_values_come_near_one_and_the_directions_stay(shape):
    torch.manual_seed(0)
    matrix = torch.randn(1, *shape)
    found = orthogonalise(matrix)
    u, _, vt = torch.linalg.svd(matrix, full_matrices=False)
    inner = u.mT @ found @ vt.mT
    values = inner.diagonal(dim1=-2, dim2=-1)
    assert values.min() > 0.5
    assert values.max() < 1.25
    assert torch.allclose(inner, torch.diag_embed(values), atol=1e-4)


def test_the_steps_on_the_gram_matrix_are_those_on_the_matrix():
    torch.manual_seed(0)
    matrix = torch.randn(1, 6, 20).double()
    x = matrix / matrix.norm()
    for _ in range(5):
        gram = x @ x.mT
        x = 3.4445 * x - 4.7750 * gram @ x + 2.0315 * gram @ gram @ x
    assert torch.allclose(orthogonalise(matrix.float()).double(), x, atol=1e-4)


def test_a_matrix_of_low_rank_and_one_of_zeros_stay_finite():
    torch.manual_seed(0)
    low = torch.randn(1, 32, 2) @ torch.randn(1, 2, 500)
    values = torch.linalg.svdvals(orthogonalise(low))[0]
    assert values[:2].min() > 0.5
    assert values[2:].max() < 1e-2
    assert orthogonalise(torch.zeros(1, 4, 9)).abs().max() == 0


def test_on_a_matrix_it_steps_as_torchs_muon_does():
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(8, 24))
    twin = nn.Parameter(weight.detach().clone())
    first, head = nn.Parameter(torch.zeros(8, 3)), nn.Parameter(torch.zeros(2, 8))
    ours = Muon([first, weight, head], lr=0.1, weight_decay=0.1)
    theirs = torch.optim.Muon(
        [twin], lr=0.1, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw"
    )
    for _ in range(3):
        weight.grad = torch.randn_like(weight)
        twin.grad = weight.grad.clone()
        ours.step()
        theirs.step()
    # PyTorch's iterates in bfloat16.
    assert torch.allclose(weight, twin, atol=5e-3)


def test_vectors_first_kernel_heads_and_depthwise_kernels_step_as_adamw_does():
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(2, 4, 3),
        nn.Conv2d(4, 4, 3, groups=4),
        nn.Conv2d(4, 4, 3),
        nn.ConvTranspose2d(4, 4, 2),
        nn.Conv2d(4, 3, 1),
        nn.Conv2d(4, 3, 1),
    )
    twin = nn.Sequential(*(type(m)(*_arguments(m)) for m in network))
    twin.load_state_dict(network.state_dict())
    ours = Muon(network.parameters(), lr=0.01)
    theirs = torch.optim.AdamW(twin.parameters(), lr=0.01, betas=(0.9, 0.95), weight_decay=0.01)
    for _ in range(2):
        for a, b in zip(network.parameters(), twin.parameters(), strict=True):
            a.grad = torch.randn_like(a)
            b.grad = a.grad.clone()
        ours.step()
        theirs.step()
    differs = {
        name
        for (name, a), b in zip(network.named_parameters(), twin.parameters(), strict=True)
        if not torch.allclose(a, b, atol=1e-7)
    }
    assert differs == {"2.weight", "3.weight"}


def test_a_kernel_steps_as_the_matrix_of_its_outputs():
    torch.manual_seed(0)
    first, last = (torch.randn(2, 2) for _ in "ab")
    kernel = torch.randn(4, 3, 3, 3)
    moved = []
    for shape in ((4, 3, 3, 3), (4, 27)):
        weight = nn.Parameter(kernel.reshape(shape).clone())
        optimizer = Muon([nn.Parameter(first), weight, nn.Parameter(last)], lr=0.1)
        weight.grad = torch.ones(shape).cumsum(0) + kernel.reshape(shape)
        optimizer.step()
        moved.append(weight.detach().reshape(4, 27))
    assert torch.equal(*moved)


def test_it_goes_on_from_its_state_to_the_bit():
    torch.manual_seed(0)
    start = [torch.randn(2, 2, 3), torch.randn(4, 6), torch.randn(5), torch.randn(2, 4)]
    gradients = [[torch.randn_like(w) for w in start] for _ in range(4)]

    def train(weights, optimizer, steps):
        for step in steps:
            for weight, gradient in zip(weights, gradients[step], strict=True):
                weight.grad = gradient.clone()
            optimizer.step()

    whole = [nn.Parameter(w.clone()) for w in start]
    train(whole, Muon(whole, lr=0.1), range(4))
    broken = [nn.Parameter(w.clone()) for w in start]
    before = Muon(broken, lr=0.1)
    train(broken, before, range(2))
    resumed = [nn.Parameter(w.detach().clone()) for w in broken]
    after = Muon(resumed, lr=0.1)
    after.load_state_dict(before.state_dict())
    train(resumed, after, range(2, 4))
    assert all(torch.equal(a, b) for a, b in zip(whole, resumed, strict=True))


def test_an_impossible_momentum_is_refused():
    with pytest.raises(ValueError, match=r"momentum is a share below 1, got 1\.5"):
        Muon([nn.Parameter(torch.zeros(2, 2))], momentum=1.5)


def _arguments(module):
    extra = (1, 0, 1, module.groups) if module.groups > 1 else ()
    return (module.in_channels, module.out_channels, module.kernel_size, *extra)
