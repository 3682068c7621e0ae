"""One training step: nnU-Net's network, loss and step against ours, on the same batch.

    python bench/train_step.py [--work hippocampus|body|tiny] [--steps N] [--rounds N] [--device D]

Both networks have the same topology and number of weights. nnU-Net runs its own train_step: fp32 on
a CPU; on a card fp16 with a loss scaler, compiled. We run our engine's step as the starter recipe
has it, without augmentation: AdamW, Dice and cross-entropy at every resolution, the average of the
weights, in the precision that `choose_precision` takes; compiled on a card. The sides take turns,
each time in a process of its own. The first steps of a process are not counted.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import torch
from figure import Figure, say
from sides import THREADS, run_side
from torch import Tensor, nn

CLASSES = 3  # background and two structures
CLIP = 12.0
BARS = {("hippocampus", "cpu"): 3.0}
UNCOUNTED = {"cpu": 1, "cuda": 20}


@dataclass(frozen=True)
class Work:
    """A batch, and the widths of the network's stages; every stage but the first halves."""

    batch: int
    patch: tuple[int, int, int]
    features: tuple[int, ...]

    @property
    def strides(self) -> list[tuple[int, int, int]]:
        return [(1, 1, 1), *[(2, 2, 2)] * (len(self.features) - 1)]

    @property
    def kernels(self) -> list[tuple[int, int, int]]:
        return [(3, 3, 3)] * len(self.features)


WORKS = {
    # nnU-Net's own plan for the Decathlon's hippocampus, and its usual one for large scans.
    "hippocampus": Work(9, (40, 56, 40), (32, 64, 128, 256)),
    "body": Work(2, (128, 128, 128), (32, 64, 128, 256, 320, 320)),
    "tiny": Work(2, (8, 8, 8), (4, 8, 8)),
}

Step = Callable[[], Any]


def batch(work: Work, device: str) -> tuple[Tensor, Tensor]:
    """An image (b, 1, *s) and a mask of ids (b, *s), the same for both sides."""
    generator = torch.Generator().manual_seed(0)
    image = torch.randn((work.batch, 1, *work.patch), generator=generator)
    mask = torch.randint(CLASSES, (work.batch, *work.patch), generator=generator)
    return image.to(device), mask.to(device)


def ours(work: Work, device: str) -> tuple[nn.Module, Step]:
    """The engine's own step, and the network."""
    from delineate.augment import Sequence
    from delineate.contracts import Batch, Target
    from delineate.engine.clock import Clock
    from delineate.engine.hardware import choose_precision
    from delineate.engine.optim import parameter_groups
    from delineate.engine.schedules import Constant
    from delineate.engine.step import TrainingStep
    from delineate.engine.task import Task
    from delineate.inference.allocator import TRAINED, keep_freed_memory
    from delineate.losses import CrossEntropy, Dice, WeightedSum
    from delineate.models import UNet

    keep_freed_memory(below=TRAINED)
    network = UNet(
        1,
        CLASSES,
        features=work.features,
        strides=work.strides,
        kernels=work.kernels,
        convolutions=[2] * len(work.features),
        deep_supervision=True,
    )
    task = Task(
        network,
        WeightedSum({"dice": Dice(batch=True), "ce": CrossEntropy()}, {"dice": 1, "ce": 1}),
        augment=Sequence([], patch=work.patch),
        optimizer=torch.optim.AdamW(parameter_groups(network, 0.01), lr=3e-3),
        schedule=Constant(),
        clock=Clock(steps=1),
        compiled=device == "cuda",
    )
    precision = choose_precision("auto", device)
    step = TrainingStep(
        task, device=device, precision=precision, clip=CLIP, accumulate=1, ema=0.999
    )
    image, mask = batch(work, device)
    cases = ("scan",) * work.batch
    given = Batch(image=image, target=Target(mask=mask), spacing=(1.0,) * 3, cases=cases, step=0)
    return network, lambda: step(given)


def nnunet(work: Work, device: str) -> tuple[nn.Module, Step]:
    """nnU-Net's own train_step, loss and optimiser around its own network."""
    from dynamic_network_architectures.architectures.unet import PlainConvUNet
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    stages = len(work.features)
    network = PlainConvUNet(
        1,
        stages,
        list(work.features),
        nn.Conv3d,
        [list(k) for k in work.kernels],
        [list(s) for s in work.strides],
        [2] * stages,
        CLASSES,
        [2] * (stages - 1),
        conv_bias=True,
        norm_op=nn.InstanceNorm3d,
        norm_op_kwargs={"eps": 1e-5, "affine": True},
        nonlin=nn.LeakyReLU,
        nonlin_kwargs={"inplace": True},
        deep_supervision=True,
    ).to(device)
    trainer = _bare(nnUNetTrainer, work, torch.device(device))
    trainer.network = torch.compile(network) if trainer._do_i_compile() else network
    trainer.optimizer, _ = trainer.configure_optimizers()
    trainer.loss = trainer._build_loss()
    image, mask = batch(work, device)
    # Its loader hands out the coarser masks.
    masks = [mask[:, None, :: 2**i, :: 2**i, :: 2**i].float() for i in range(stages - 1)]
    return network, lambda: trainer.train_step({"data": image, "target": masks})


def _bare(trainer: Any, work: Work, device: torch.device) -> Any:
    """nnU-Net's trainer without the folders that it wants: what its step, loss and rates read."""
    made = trainer.__new__(trainer)
    made.device, made.is_ddp, made.enable_deep_supervision = device, False, True
    made.label_manager = SimpleNamespace(has_regions=False, ignore_label=None)
    made.configuration_manager = SimpleNamespace(
        batch_dice=False, pool_op_kernel_sizes=[list(s) for s in work.strides]
    )
    made.initial_lr, made.weight_decay, made.num_epochs = 1e-2, 3e-5, 1000
    made.grad_scaler = torch.amp.GradScaler("cuda") if device.type == "cuda" else None
    made.print_to_log_file = lambda *words, **_: None
    return made


SIDES = {"ours": ours, "nnunet": nnunet}


def time_side(side: str, work: Work, *, steps: int, device: str) -> dict[str, Any]:
    """Seconds of a step, weights, and on a card the floating-point operations of a step."""
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    torch.set_num_threads(THREADS)
    network, step = SIDES[side](work, device)
    weights = sum(p.numel() for p in network.parameters())
    for _ in range(UNCOUNTED[device]):
        step()
    _wait(device)
    # A card works on while Python goes ahead: only many steps together can be timed.
    together = steps if device == "cuda" else 1
    seconds = []
    for _ in range(steps // together):
        started = time.perf_counter()
        for _ in range(together):
            step()
        _wait(device)
        seconds.append((time.perf_counter() - started) / together)
    work_done = operations(network, work, device) if device == "cuda" else None
    return {"seconds": seconds, "weights": weights, "operations": work_done}


def operations(network: nn.Module, work: Work, device: str) -> int:
    """Floating-point operations of the forward and backward pass of a batch."""
    from torch.utils.flop_counter import FlopCounterMode

    image, _ = batch(work, device)
    with FlopCounterMode(display=False) as counter:
        out = network(image)
        parts = out if isinstance(out, list) else [out.logits, *out.deep]
        sum(part.sum() for part in parts).backward()
    return counter.get_total_flops()


def card_rate(size: int = 8192, times: int = 30) -> float:
    """Operations a second of a large bf16 matrix product on this card."""
    a, b = (torch.randn(size, size, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    for _ in range(5):
        a @ b
    _wait("cuda")
    started = time.perf_counter()
    for _ in range(times):
        a @ b
    _wait("cuda")
    return times * 2 * size**3 / (time.perf_counter() - started)


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def compare(name: str, *, steps: int, rounds: int, device: str) -> None:
    """Take turns, check that the work is equal, and say the figure."""
    words = ["--work", name, "--steps", steps, "--device", device, "--side"]
    found: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
    for turn in range(rounds):
        for side, results in found.items():
            results += run_side(__file__, [*words, side])
            middle = statistics.median(results[-1]["seconds"])
            print(f"round {turn}, {side}: {middle:.4g} s a step", flush=True)
    weights = {side: results[0]["weights"] for side, results in found.items()}
    if len(set(weights.values())) > 1:
        sys.exit(f"train_step: the networks differ in their weights, {weights}")
    seconds = {
        side: statistics.median([s for r in results for s in r["seconds"]])
        for side, results in found.items()
    }
    work = WORKS[name]
    say(
        Figure(
            work=f"training step, {device}, {name}: batch {work.batch} of {_times(work.patch)}",
            peer="nnU-Net",
            ours=work.batch / seconds["ours"],
            theirs=work.batch / seconds["nnunet"],
            unit="patches/s",
            bar=BARS.get((name, device)),
        )
    )
    if device == "cuda":
        _say_shares(name, seconds, {side: r[0]["operations"] for side, r in found.items()})


def _say_shares(name: str, seconds: dict[str, float], done: dict[str, int]) -> None:
    rate = card_rate()
    each = ", ".join(
        f"{side} {1000 * seconds[side]:.2f} ms a step, {done[side] / seconds[side] / rate:.1%}"
        for side in SIDES
    )
    say(f"{name} on the card: {each} of its bf16 rate ({rate / 1e12:.0f} TFLOP/s, 8192 matmul)")


def _times(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", choices=WORKS, help="default: hippocampus; on a card also body")
    parser.add_argument("--steps", type=int, help="that are timed in a process: 2, or 50 on a card")
    parser.add_argument("--rounds", type=int, default=2, help="processes of each side")
    parser.add_argument("--device", choices=("cpu", "cuda"))
    parser.add_argument("--side", choices=SIDES, help="time one side in this process")
    asked = parser.parse_args()
    device = asked.device or ("cuda" if torch.cuda.is_available() else "cpu")
    steps = asked.steps or {"cpu": 2, "cuda": 50}[device]
    if asked.side:
        work = WORKS[asked.work or "hippocampus"]
        print(json.dumps(time_side(asked.side, work, steps=steps, device=device)))
        return
    if find_spec("nnunetv2") is None:
        sys.exit("train_step: nnunetv2 is not installed here. Fix: make bench")
    # The bar is for the CPU, also where there is a card.
    for place in [asked.device] if asked.device else ["cpu", "cuda"][: 1 + (device == "cuda")]:
        usual = ["hippocampus", "body"] if place == "cuda" else ["hippocampus"]
        number = asked.steps or {"cpu": 2, "cuda": 50}[place]
        for name in [asked.work] if asked.work else usual:
            compare(name, steps=number, rounds=asked.rounds, device=place)


if __name__ == "__main__":
    main()
