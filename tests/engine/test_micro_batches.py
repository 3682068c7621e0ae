"""Memory is played by a layer that raises above a number of samples."""

import logging

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import nn

from delineate.contracts import Batch, Output, Target
from delineate.engine.micro_batches import MicroBatches, split
from delineate.errors import PlanError
from delineate.losses import CrossEntropy, WeightedSum


class Narrow(nn.Module):
    """A network for which `room` samples fit, four times as many with checkpointing.

    Memory runs out in the forward pass, or in the backward pass, where it mostly does.
    """

    def __init__(self, room, *, backward=False, error=torch.OutOfMemoryError):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3, padding=1)
        self.unused = nn.Linear(1, 1)
        self.checkpointing = False
        self.room, self.backward, self.error = room, backward, error
        self.seen = []

    def forward(self, image):
        self.seen.append(len(image))
        fits = len(image) <= self.room * (4 if self.checkpointing else 1)
        if not fits and not self.backward:
            raise self.error("out of memory")
        logits = self.conv(image)
        if not fits:
            logits.register_hook(self._fail)
        return logits

    def _fail(self, gradient):
        raise self.error("out of memory")


def make_batch(size=4, step=0):
    image = torch.randn(size, 1, 6, 6, generator=torch.Generator().manual_seed(step))
    return Batch(
        image=image,
        target=Target(mask=(image[:, 0] > 0.5).long(), presence=torch.ones(size, 1)),
        spacing=(1.0, 1.0),
        cases=tuple("abcdefgh"[:size]),
        step=step,
    )


LOSS = WeightedSum({"ce": CrossEntropy(), "half": CrossEntropy()}, {"ce": 1.0, "half": 0.5})


def terms_of(network):
    return lambda batch: LOSS(Output(logits=network(batch.image)), batch.target)


def gradients(network, memory, batch):
    """The gradients that the trainer finds, and the loss with its terms."""
    network.zero_grad()
    loss, terms = memory.differentiate(terms_of(network), batch, network)
    loss.backward()
    return [p.grad for p in network.conv.parameters()], loss.detach(), terms


def make_network(room, **kind):
    torch.manual_seed(0)
    return Narrow(room, **kind)


def plain(batch):
    network = make_network(99)
    loss = torch.stack(list(terms_of(network)(batch).values())).sum()
    loss.backward()
    return [p.grad for p in network.conv.parameters()], loss.detach()


def test_with_memory_enough_the_gradients_are_those_of_backward_to_the_bit():
    wanted, wanted_loss = plain(make_batch())
    network = make_network(99)
    found, loss, terms = gradients(network, MicroBatches(), make_batch())
    assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))
    assert loss == wanted_loss == sum(terms.values())
    assert network.unused.weight.grad is None


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize(
    ("size", "room", "seen"), [(4, 2, [4, 2, 2]), (4, 1, [4, 2, 1, 1, 1, 1]), (5, 2, [5, 2, 3])]
)
def test_the_parts_add_up_to_the_whole_batch(size, room, seen, backward):
    wanted, wanted_loss = plain(make_batch(size))
    network = make_network(room, backward=backward)
    found, loss, terms = gradients(network, MicroBatches(), make_batch(size))
    for a, b in zip(found, wanted, strict=True):
        assert torch.allclose(a, b, atol=1e-7)
    assert torch.allclose(loss, wanted_loss)
    assert terms.keys() == {"ce", "half"}
    assert not terms["ce"].requires_grad
    assert network.seen[: len(seen)] == seen


def test_what_was_found_is_remembered():
    network, memory = make_network(2, backward=True), MicroBatches()
    gradients(network, memory, make_batch())
    network.seen.clear()
    gradients(network, memory, make_batch(step=1))
    assert network.seen == [2, 2]
    later = MicroBatches()
    later.load_state_dict(memory.state_dict() | {"checkpointing": True})
    gradients(network, later, make_batch())
    assert later.parts == 2
    assert network.checkpointing


def test_gradients_gathered_before_are_neither_lost_nor_doubled():
    wanted = [plain(make_batch(step=step))[0] for step in (0, 1)]
    network, memory = make_network(99, backward=True), MicroBatches()
    for step in (0, 1):
        loss, _ = memory.differentiate(terms_of(network), make_batch(step=step), network)
        (loss / 2).backward()
        network.room = 2  # another program takes memory in between
    for weight, first, second in zip(network.conv.parameters(), *wanted, strict=True):
        assert torch.allclose(weight.grad, (first + second) / 2, atol=1e-7)


def test_when_one_sample_does_not_fit_activations_are_recomputed(caplog):
    network, memory = make_network(0.25), MicroBatches()
    with caplog.at_level(logging.WARNING, logger="delineate"):
        gradients(network, memory, make_batch(2, step=7))
    assert network.checkpointing
    assert (memory.parts, memory.checkpointing) == (2, True)
    assert caplog.messages == [
        "step 7: out of memory with 2 of 2 samples of 1x6x6 at once; "
        "from here a batch goes through in 2 parts whose gradients are added up",
        "step 7: out of memory with 1 of 2 samples of 1x6x6 at once; "
        "from here activations are recomputed in the backward pass",
    ]


def test_when_nothing_helps_it_ends_with_what_to_do():
    with pytest.raises(PlanError) as error:
        gradients(make_network(0), MicroBatches(), make_batch(2, step=3))
    assert str(error.value) == (
        "step 3: out of memory with 1 of 2 samples of 1x6x6 at once, the least there can be. "
        "Fix: a smaller plan.memory_gb or plan.patch, a smaller model, or free memory on the "
        "device."
    )


@pytest.mark.parametrize(
    "error",
    [MemoryError, lambda text: RuntimeError("DefaultCPUAllocator: not enough memory: you tried")],
)
def test_a_processor_runs_out_of_memory_too(error):
    memory = MicroBatches()
    gradients(make_network(2, error=error), memory, make_batch())
    assert memory.parts == 2


def test_any_other_error_is_not_caught():
    with pytest.raises(RuntimeError, match="size mismatch"):
        gradients(
            make_network(0, error=lambda _: RuntimeError("size mismatch")),
            MicroBatches(),
            make_batch(),
        )


def test_a_split_batch_keeps_order_and_every_target():
    batch = make_batch(5)
    parts = split(batch, 2)
    assert [share for share, _ in parts] == [0.4, 0.6]
    assert torch.equal(torch.cat([part.image for _, part in parts]), batch.image)
    assert torch.equal(torch.cat([part.target.mask for _, part in parts]), batch.target.mask)
    assert [part.target.presence.shape[0] for _, part in parts] == [2, 3]
    assert [part.cases for _, part in parts] == [("a", "b"), ("c", "d", "e")]
    assert all(part.target.distance is None for _, part in parts)


class Scaler:
    """What a loss scaler does to the loss."""

    def get_scale(self):
        return 1024.0


def test_a_scaled_loss_has_gradients_scaled_once():
    wanted, _ = plain(make_batch())
    network, memory = make_network(2), MicroBatches()
    memory.scaler = Scaler()
    loss, _ = memory.differentiate(terms_of(network), make_batch(), network)
    (loss * 1024).backward()
    for weight, gradient in zip(network.conv.parameters(), wanted, strict=True):
        assert torch.allclose(weight.grad, 1024 * gradient, atol=1e-4)


class Small(LightningModule):
    """The lines that a task has for it."""

    def __init__(self, network, memory):
        super().__init__()
        self.network, self.memory = network, memory

    def training_step(self, batch, batch_idx):
        loss, terms = self.memory.differentiate(terms_of(self.network), batch, self.network)
        return {"loss": loss, "terms": terms}

    def configure_optimizers(self):
        return torch.optim.SGD(self.network.parameters(), lr=0.5)


def fitted(room, accumulate):
    memory = MicroBatches()
    trainer = Trainer(
        accelerator="cpu", max_epochs=1, logger=False, callbacks=[memory],
        accumulate_grad_batches=accumulate, gradient_clip_val=1.0, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    task = Small(make_network(room, backward=True), memory)
    trainer.fit(task, (make_batch(step=step) for step in range(6)))
    return task.network.conv.weight.detach()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_training_that_runs_out_of_memory_learns_the_same(accumulate):
    start = make_network(1).conv.weight.detach()
    whole = fitted(99, accumulate)
    assert not torch.allclose(start, whole, atol=1e-3)
    assert torch.allclose(whole, fitted(1, accumulate), atol=1e-6)
