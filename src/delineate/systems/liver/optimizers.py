"""Optimiser and scheduler from the settings, their arguments checked before any training."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau, StepLR

from delineate.config import Part, build
from delineate.config.arguments import wrong_arguments
from delineate.errors import ConfigError
from delineate.systems.liver.settings import ModelTrainingConfig

__all__ = ["check_optimizer", "get_optimizer"]

_NAMES = {"adam": "Adam", "adamw": "AdamW", "sgd": "SGD"}
_MOMENTUM = 0.9
"""Of sgd, where optimizer_params do not say it."""


def get_optimizer(
    config: ModelTrainingConfig, model: nn.Module
) -> tuple[Optimizer, LRScheduler | None]:
    """The optimiser of a model's trained weights, and the scheduler if there is one.

    Arguments that they do not take are a ConfigError.
    """
    params = config.optimizer_params
    if config.optimizer == "sgd":
        params = {"momentum": _MOMENTUM} | params
    try:
        optimizer: Optimizer = build(
            Part(name=_NAMES[config.optimizer], **params),
            "torch.optim",
            params=[weight for weight in model.parameters() if weight.requires_grad],
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
        )
    except ConfigError as error:
        raise ConfigError(f"optimizer_params: {error}") from None
    return optimizer, _scheduler(config, optimizer)


def check_optimizer(config: ModelTrainingConfig) -> None:
    """Raise the ConfigError that `get_optimizer` would."""
    get_optimizer(config, nn.Linear(1, 1))


def _scheduler(config: ModelTrainingConfig, optimizer: Optimizer) -> LRScheduler | None:
    match config.scheduler:
        case "step":
            return _make(_step, config.scheduler_params, optimizer=optimizer)
        case "plateau":
            mode = config.monitor_mode
            return _make(_plateau, config.scheduler_params, optimizer=optimizer, mode=mode)
    return None


def _make(
    scheduler: Callable[..., LRScheduler], params: Mapping[str, Any], **supplied: Any
) -> LRScheduler:
    wrong = [text for _, text in wrong_arguments(scheduler, params, supplied)]
    wrong += [f"'{name}' is not said here." for name in params if name in supplied]
    if wrong:
        raise ConfigError("\n".join(f"scheduler_params: {text}" for text in wrong))
    try:
        return scheduler(**supplied, **params)
    except ValueError as error:
        raise ConfigError(f"scheduler_params: {error}") from None


def _step(optimizer: Optimizer, *, step_size: int = 30, gamma: float = 0.1) -> StepLR:
    if step_size < 1:
        raise ValueError(f"step_size is {step_size}. Fix: at least 1 epoch.")
    return StepLR(optimizer, step_size, gamma)


def _plateau(
    optimizer: Optimizer,
    *,
    mode: str,
    factor: float = 0.1,
    patience: int = 10,
    threshold: float = 1e-4,
    threshold_mode: str = "rel",
    cooldown: int = 0,
    min_lr: float = 0.0,
    eps: float = 1e-8,
) -> ReduceLROnPlateau:
    return ReduceLROnPlateau(
        optimizer,
        mode,  # type: ignore[arg-type] # 'min' or 'max', as the settings say
        factor=factor,
        patience=patience,
        threshold=threshold,
        threshold_mode=threshold_mode,  # type: ignore[arg-type] # others are its ValueError
        cooldown=cooldown,
        min_lr=min_lr,
        eps=eps,
    )
