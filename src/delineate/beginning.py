"""What a training begins with: the weights that its configuration names, grown or matched.

A network whose pieces can be silent grows out of a smaller one of its kind and computes the same at
first; into any other go the weights that fit.
"""

from torch import nn

from delineate.assemble import assemble_network
from delineate.config import Config, load_config
from delineate.engine.growth import Growth, grow, probe_image
from delineate.engine.transfer import start_from
from delineate.engine.weights import load_weights
from delineate.errors import DataError
from delineate.models.encoder_decoder import EncoderDecoder
from delineate.plan import Plan, read_plan
from delineate.report.hashes import hash_file
from delineate.run_folder import RunFolder

__all__ = ["start_network"]


def start_network(network: nn.Module, config: Config, plan: Plan, *, run: RunFolder) -> None:
    """Weights from elsewhere, where the config names some; start.json says what became of each."""
    weights = config.start.weights
    if weights is None:
        return
    found = _grown(network, config, plan) or start_from(
        network, weights, channels=plan.channels, labels=plan.labels
    )
    file = RunFolder(weights).weights if weights.is_dir() else weights
    run.write_json(run.start_table.name, found.to_json() | {"sha256": hash_file(file)})
    run.say(found.summary)


def _grown(network: nn.Module, config: Config, plan: Plan) -> Growth | None:
    """The network grown out of that of a run, and the proof; None where it is of another kind."""
    assert config.start.weights is not None
    run = RunFolder(config.start.weights)
    parts = (run.config, run.plan, run.weights)
    if not isinstance(network, EncoderDecoder) or not all(part.is_file() for part in parts):
        return None
    if not any(hasattr(part, "silencers") for part in network.modules()):
        return None
    theirs, made = load_config(run.config), read_plan(run.plan)
    # Only a network that is built here anyway is built for the sake of a folder's configuration.
    if (theirs.model.name, _ends(made)) != (config.model.name, _ends(plan)):
        return None
    before = assemble_network(theirs, made)
    load_weights(before, run.weights)
    # So large that neither of the two pads it, as they pad to other sizes.
    probe = probe_image(len(plan.channels), tuple(2 * step for step in network.divisor))
    try:
        return grow(network, before, probe=probe)
    except DataError as error:
        raise DataError(f"{run.path}: {error}") from None


def _ends(plan: Plan) -> tuple[object, ...]:
    """What a network reads and gives."""
    return plan.channels, plan.labels, len(plan.seen_axes)
