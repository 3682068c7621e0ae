"""Whatever predicts, by its path: a package, a training, or a cascade of them."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from delineate.config.text_file import read_text
from delineate.inference.cascade import Cascade
from delineate.inference.model import Model
from delineate.package.card import Statement
from delineate.package.cascade_archive import (
    holds_cascade,
    read_cascade_card,
    read_cascade_package,
    write_cascade_package,
)
from delineate.package.cascade_file import StageText, build_cascade, parse_cascade
from delineate.package.read import read_card
from delineate.package.runs import Progress, open_model
from delineate.package.ship import package_runs

__all__ = ["card_of", "package_cascade", "read_cascade", "read_predictor"]

_TEXTS = (".yaml", ".yml", ".json")


def read_predictor(path: Path, *, trust: Sequence[str] = ()) -> Model | Cascade:
    """The model or the cascade that lies there, on the CPU.

    Args:
        path: A package, of a model or of a cascade; the folder of a training or of a
            cross-validation; or a cascade.yaml.
        trust: Packages, such as `my_lab`, whose networks may be imported: that runs their code.
    """
    path = Path(path)
    if path.suffix in _TEXTS or (path.is_file() and holds_cascade(path)):
        return read_cascade(path, trust=trust)
    return open_model(path, trust=trust)


def read_cascade(path: Path, *, trust: Sequence[str] = ()) -> Cascade:
    """The cascade of a YAML or JSON file, or of a package, on the CPU."""
    path = Path(path)
    if path.suffix not in _TEXTS:
        return read_cascade_package(path, trust=trust)
    folder = path.parent
    return build_cascade(
        _texts(path), lambda model: open_model(folder / model, trust=trust), str(path)
    )


def card_of(path: Path) -> str:
    """The model card of a package, in Markdown; empty for what has none."""
    path = Path(path)
    if path.is_dir() or path.suffix in _TEXTS:
        return ""
    return read_cascade_card(path) if holds_cascade(path) else read_card(path)


def package_cascade(
    path: Path,
    out: Path,
    *,
    statement: Statement | None = None,
    trust: Sequence[str] = (),
    progress: Progress | None = None,
) -> Cascade:
    """Write the cascade of a YAML file and all its models to `out`, and return it read from there.

    Args:
        path: Its trainings are packaged on the way, its packages are taken as they are.
        statement: What only the authors can say of the whole; None leaves that open.
        trust: Must cover networks that are given by import path, as it must when reading.
        progress: Shown the training scans, where they are looked at; None looks at none.
    """
    texts, folder = _texts(path), Path(path).parent
    with TemporaryDirectory() as made:
        packages = []
        for number, text in enumerate(texts):
            model = folder / text.model
            if model.is_dir():
                target = Path(made) / f"{number}.zip"
                package_runs([model], target, trust=trust, progress=progress)
                model = target
            packages.append(model)
        # Before it is written: what does not fit together is better said of the text.
        by_name = dict(zip((text.model for text in texts), packages, strict=True))
        build_cascade(texts, lambda name: open_model(by_name[name], trust=trust), str(path))
        write_cascade_package(Path(out), texts, packages, statement=statement or Statement())
    return read_cascade_package(Path(out), trust=trust)


def _texts(path: Path) -> tuple[StageText, ...]:
    return parse_cascade(read_text(path), str(path))
