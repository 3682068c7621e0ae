"""Optimiser and schedule of an experiment, all their arguments checked before any training."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from lightning.pytorch import Trainer as LightningTrainer
from torch import nn, optim
from torch.optim import Optimizer, lr_scheduler

from delineate.config import Part, build
from delineate.config.arguments import parameters, wrong_arguments
from delineate.config.words import did_you_mean
from delineate.errors import ConfigError
from delineate.systems.spine.learning.cosine_rate import CosineLRScheduler
from delineate.systems.spine.schema.settings import Named, Trainer

__all__ = ["SCHEDULES", "check_rates", "make_optimizer"]

PER_STEP = ("OneCycleLR", "CyclicLR")
"""Schedules that move at every step; all others move once an epoch."""
SCHEDULES: dict[str, Callable[..., Any]] = {
    "CosineLRScheduler": CosineLRScheduler,
    **{
        name: getattr(lr_scheduler, name)
        for name in lr_scheduler.__all__
        if name not in ("LRScheduler", "SequentialLR", "ChainedScheduler", "LambdaLR")
        and name != "MultiplicativeLR"
    },
}
"""By name; those that are left out take functions."""


def make_optimizer(
    trainer: Trainer, weights: Sequence[nn.Parameter], lightning: LightningTrainer | None = None
) -> Any:
    """What `configure_optimizers` returns."""
    if not weights:
        raise ConfigError("model.freeze: nothing is left to train.")
    optimizer = _optimizer(trainer, weights)
    named = trainer.lr.scheduler
    if named is None:
        return optimizer
    steps = None if lightning is None else int(lightning.estimated_stepping_batches)
    scheduler, watched = _scheduler(named, trainer, optimizer, steps)
    interval = "step" if named.name in PER_STEP else "epoch"
    entry = {"scheduler": scheduler, "interval": interval}
    return {"optimizer": optimizer, "lr_scheduler": entry | watched}


def check_rates(trainer: Trainer) -> None:
    """Raise the ConfigError that `make_optimizer` would."""
    make_optimizer(trainer, list(nn.Linear(1, 1).parameters()))


def _optimizer(trainer: Trainer, weights: Sequence[nn.Parameter]) -> Optimizer:
    named = trainer.optimizer
    known = sorted(n for n in dir(optim) if _is_optimizer(getattr(optim, n)))
    if "." not in named.name and named.name not in known:
        raise ConfigError(
            f"trainer.optimizer '{named.name}' is unknown.{did_you_mean(named.name, known)} "
            f"There are: {', '.join(known)}; any other is named in full: package.Optimizer."
        )
    try:
        return build(
            Part(name=named.name, **{"lr": trainer.lr.init_value} | named.params),
            "torch.optim",
            params=list(weights),
        )
    except ConfigError as error:
        raise ConfigError(f"trainer.optimizer: {error}") from None


def _is_optimizer(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, Optimizer) and value is not Optimizer


def _scheduler(
    named: Named, trainer: Trainer, optimizer: Optimizer, steps: int | None
) -> tuple[Any, dict[str, Any]]:
    """The schedule, and what Lightning has to know besides."""
    name = named.name.rpartition(".")[2]
    maker = SCHEDULES.get(name)
    if maker is None:
        raise ConfigError(
            f"trainer.lr.scheduler '{named.name}' is unknown.{did_you_mean(name, SCHEDULES)} "
            f"There are: {', '.join(SCHEDULES)}."
        )
    params = dict(named.params)
    watched: dict[str, Any] = {}
    if name == "ReduceLROnPlateau":
        watched["monitor"] = params.pop("monitor", "val_loss")
        watched["frequency"] = trainer.val_every
    usual = {
        "t_initial": trainer.epochs,
        "T_max": trainer.epochs,
        "total_iters": trainer.epochs,
        "total_steps": steps or 100,
        "max_lr": trainer.lr.init_value,
    }
    needed = [
        key
        for key, parameter in parameters(maker).items()
        if parameter.default is parameter.empty or (name == "PolynomialLR" and key in usual)
    ]
    given = {key: usual[key] for key in needed if key in usual and key not in params}
    if name == "OneCycleLR" and not {"total_steps", "epochs"} & params.keys():
        given["total_steps"] = usual["total_steps"]
    wrong = [text for _, text in wrong_arguments(maker, params, {"optimizer", *given})]
    if wrong:
        raise ConfigError("\n".join(f"trainer.lr.scheduler {name}: {text}" for text in wrong))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return maker(optimizer, **given, **params), watched
    except (TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"trainer.lr.scheduler {name} refuses its params: {error}") from None
