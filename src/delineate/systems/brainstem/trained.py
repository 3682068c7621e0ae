"""What a training leaves to predict with: a package, or best_model.pth; both normalise as it did.

The training's own plan normalises nothing, as its volumes were normalised before they were cut.
"""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from delineate.assemble import assemble_network
from delineate.config import Config
from delineate.engine.weights import misfit
from delineate.errors import DataError, PlanError
from delineate.inference import Model, take_domain
from delineate.io import read_volume
from delineate.io.paths import missing
from delineate.package import Statement, open_model, package_runs
from delineate.plan import Plan, parse_plan, write_plan
from delineate.systems.brainstem.checkpoints import PLAN, read_checkpoint
from delineate.systems.brainstem.settings import TrainingConfig
from delineate.systems.brainstem.tree import Tree
from delineate.systems.brainstem.volumes import normalisation, with_morphogens

__all__ = ["PACKAGE", "checkpoint_facts", "for_scans", "open_trained", "write_model"]

PACKAGE = "brainstem_model.zip"
ENGINE = "engine_config"


def for_scans(plan: Plan, config: TrainingConfig) -> Plan:
    """The training's plan for scans as they are, which are normalised as a whole."""
    return replace(plan, normalisation=normalisation(config))


def checkpoint_facts(config: dict[str, Any], plan: Plan, engine: Config) -> dict[str, Any]:
    """What every .pth file says besides weights: enough to predict with it."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "plan.json"
        write_plan(plan, path)
        text = path.read_text(encoding="utf-8")
    model = {"model": engine.model.model_dump(mode="json")}
    return {"config": config, PLAN: text, ENGINE: {**model, "overlap": engine.predict.overlap}}


def write_model(run: Path, out: Path, tree: Tree, config: TrainingConfig) -> None:
    """The package of a finished run, with the domain of the whole scans.

    What was found to clean up the masks of one side of a volume does not hold for both: it is left
    out where the volume was cut.
    """

    def as_used(model: Model) -> Model:
        plan = for_scans(model.plan, config)
        scans = (with_morphogens(read_volume(str(s.image)), config) for s in tree.subjects)
        cut = len(tree.subjects) == 1
        return replace(
            model,
            plan=plan,
            domain=take_domain(scans, plan),
            steps=() if cut else model.steps,
        )

    statement = Statement()
    package_runs([run], out, statement=statement, change=as_used)


def open_trained(path: Path) -> Model:
    """The model of a package, a run folder or a .pth file of this trainer, on the CPU.

    The run folder inside of a training is a DataError: its model is for volumes that are normalised
    already, and would see grey values as they are.
    """
    if not path.exists():
        raise missing(str(path))
    if path.suffix == ".pth":
        return _of_checkpoint(path)
    model = open_model(path)
    if all(rule.kind == "none" for rule in model.plan.normalisation):
        raise DataError(
            f"{path}: its model does not normalise scans, as a training with BrainstemTrainer did "
            f"before. Fix: give {path.parent / PACKAGE}."
        )
    return model


def _of_checkpoint(path: Path) -> Model:
    content = read_checkpoint(path)
    if absent := [key for key in (PLAN, ENGINE) if key not in content]:
        raise DataError(f"{path}: has no '{absent[0]}'. Fix: give a file of this trainer.")
    try:
        plan = parse_plan(str(content[PLAN]), f"{path}: plan")
    except PlanError as error:
        raise DataError(str(error)) from None
    said = {"data": {"root": "."}, "model": content[ENGINE]["model"]}
    network = assemble_network(Config.model_validate(said), plan)
    if wrong := misfit(network, content["model_state_dict"]):
        raise DataError(f"{path}: its weights do not fit its network: {wrong}.")
    network.load_state_dict(content["model_state_dict"])
    return Model(networks=(network.eval(),), plan=plan, overlap=content[ENGINE]["overlap"])
