"""The cascade as a command runs it: settings from a YAML file and words, networks, a report."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from delineate.config.faults import validated
from delineate.config.overrides import COMMAND_LINE
from delineate.config.words import spell
from delineate.errors import ConfigError
from delineate.systems.spine.cascade.chain import Progress, run_cascade
from delineate.systems.spine.cascade.report import closing_lines, write_reports
from delineate.systems.spine.cascade.settings import CascadeSettings
from delineate.systems.spine.cascade.weights_folder import open_networks
from delineate.systems.spine.prediction.answers import choose_device
from delineate.systems.spine.prediction.finished import Finished
from delineate.systems.spine.prediction.open_answerer import open_answerer
from delineate.systems.spine.schema.yaml_file import Document, read_document
from delineate.systems.spine.slices.series import refuse_inside

__all__ = ["cascade", "read_cascade"]


def read_cascade(file: Path | None, **said: Any) -> CascadeSettings:
    """The settings of a YAML file, or the defaults, with what the command line says over them.

    Args:
        file: `weights` in it is from its folder.
        said: Keys of the settings, and `confidence`, which is that of the lesions; None is not
            said.
    """
    document = Document({}, {}, Path()) if file is None else read_document(file)
    data = document.data or {}
    if not isinstance(data, Mapping):
        raise ConfigError(f"{file}: wants keys such as weights and gates, got {spell(data)}.")
    if file is not None and data.get("weights") is not None:
        data = {**data, "weights": file.parent / str(data["weights"])}
    told = {key: value for key, value in said.items() if value is not None}
    confidence = told.pop("confidence", None)
    if confidence is not None:
        told["lesion"] = {**(data.get("lesion") or {}), "confidence": confidence}
    places = document.places | {(key,): COMMAND_LINE for key in told}
    return validated(CascadeSettings, {**data, **told}, places)


def cascade(
    settings: CascadeSettings, place: Path, out: Path, progress: Progress = iter
) -> Finished:
    """Judge every series of a file or folder, write the masks and the report."""
    refuse_inside(place, out)
    device = choose_device(settings.device)
    networks = open_networks(
        settings, lambda path: open_answerer(path, device=device, batch=settings.batch_size)
    )
    outcomes = run_cascade(settings, networks, place, out, progress)
    write_reports(out, outcomes, settings, networks)
    failed = sum(outcome.state == "failed" for outcome in outcomes)
    return Finished(lines=tuple(closing_lines(outcomes)), folder=out, failed=failed)
