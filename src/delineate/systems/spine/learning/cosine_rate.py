"""The learning rate as timm's CosineLRScheduler lets it fall, without timm.

In cycle i, of the length t_i = t_initial cycle_mul^i, t epochs after its beginning, of the highest
rate h = cycle_decay^i times the initial one:

    lr = lr_min + (h - lr_min) (1 + cos(pi t^k / t_i^k)) / 2,        k = k_decay

and lr_min once `cycle_limit` cycles are over. Before `warmup_t` epochs the rate rises straight from
`warmup_lr_init`; with `warmup_prefix` the cycles begin behind that.
"""

from math import cos, floor, log, pi

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

__all__ = ["CosineLRScheduler"]


class CosineLRScheduler(LRScheduler):
    """Cosine cycles; see the top of the file. One step is an epoch.

    Args:
        t_initial: Epochs of the first cycle.
        lr_min: The lowest rate.
        cycle_mul: How much longer each cycle is than the one before.
        cycle_decay: What the highest rate of a cycle is of the one before.
        cycle_limit: Cycles until the rate stays at its lowest.
        warmup_t: Epochs of the rise.
        warmup_lr_init: Where it begins.
        warmup_prefix: Whether the first cycle begins behind it.
        k_decay: The exponent k.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        t_initial: int,
        lr_min: float = 0.0,
        cycle_mul: float = 1.0,
        cycle_decay: float = 1.0,
        cycle_limit: int = 1,
        warmup_t: int = 0,
        warmup_lr_init: float = 0.0,
        warmup_prefix: bool = False,
        k_decay: float = 1.0,
        last_epoch: int = -1,
    ) -> None:
        if t_initial < 1 or cycle_mul <= 0 or warmup_t < 0:
            raise ValueError(
                f"t_initial {t_initial} of at least 1, cycle_mul {cycle_mul} above 0 and warmup_t "
                f"{warmup_t} of at least 0 are wanted."
            )
        self.t_initial = t_initial
        self.lr_min = lr_min
        self.cycle_mul = cycle_mul
        self.cycle_decay = cycle_decay
        self.cycle_limit = cycle_limit
        self.warmup_t = warmup_t
        self.warmup_lr_init = warmup_lr_init
        self.warmup_prefix = warmup_prefix
        self.k_decay = k_decay
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float | Tensor]:
        """The rate of each group of weights in the present epoch."""
        return [self._at(self.last_epoch, float(base)) for base in self.base_lrs]

    def _at(self, t: int, base: float) -> float:
        if t < self.warmup_t:
            return self.warmup_lr_init + t * (base - self.warmup_lr_init) / self.warmup_t
        if self.warmup_prefix:
            t -= self.warmup_t
        cycle, begun, length = self._cycle(t)
        if cycle >= self.cycle_limit:
            return self.lr_min
        high = base * self.cycle_decay**cycle
        way = (t - begun) ** self.k_decay / length**self.k_decay
        return self.lr_min + 0.5 * (high - self.lr_min) * (1 + cos(pi * way))

    def _cycle(self, t: int) -> tuple[int, float, float]:
        """Which cycle an epoch is of, when that began and how long it is."""
        if self.cycle_mul == 1:
            cycle = t // self.t_initial
            return cycle, cycle * self.t_initial, self.t_initial
        mul = self.cycle_mul
        inner = 1 - t / self.t_initial * (1 - mul)
        if inner <= 0:  # cycles that shorten have an end
            return self.cycle_limit, 0.0, 1.0
        cycle = floor(log(inner, mul) + 1e-9)
        begun = (1 - mul**cycle) / (1 - mul) * self.t_initial
        return cycle, begun, mul**cycle * self.t_initial
