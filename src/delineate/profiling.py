"""Time the steps of the training that a configuration asks for, without a run."""

from pathlib import Path

from delineate.assemble import assemble_network
from delineate.config import Config, check_parts
from delineate.data import make_distances, prepare
from delineate.engine.hardware import choose_device, choose_precision
from delineate.engine.profile import Profile, measure, write_trace
from delineate.engine.step import TrainingStep
from delineate.groundwork import Bars, cache_folder, plan_for, read, split_for
from delineate.plan import take_fingerprint
from delineate.training import make_batches, make_task

__all__ = ["profile_training"]


def profile_training(
    config: Config, *, steps: int, trace: Path | None = None, bars: Bars
) -> Profile:
    """Time so many steps; only the cache of prepared cases and the trace are written."""
    check_parts(config)
    dataset = read(config)
    fingerprint = take_fingerprint(dataset, progress=bars.track)
    plan = plan_for(config, fingerprint)
    cases = split_for(config, dataset, fingerprint).training
    learned = [case.id for case in cases]
    cache = prepare(cases, plan, cache_folder(config), progress=bars.track)
    device = choose_device(config.train.device)
    network = assemble_network(config, plan)
    task = make_task(network, config, plan, num_cases=len(cases), device=device)
    if task.loss.needs_distance:
        cache = make_distances(cache, plan, learned, progress=bars.track)
    batches = make_batches(config, plan, cache, learned, task)
    step = TrainingStep(
        task,
        device=device,
        precision=choose_precision(config.train.precision, device),
        clip=config.train.clip,
        accumulate=config.train.accumulate,
        ema=config.train.ema,
    )
    made = measure(step, batches, steps=steps)
    if trace is not None:
        write_trace(step, batches, trace)
    return made
