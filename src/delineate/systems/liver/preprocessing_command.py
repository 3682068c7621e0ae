"""The command line of run_data_preprocessing.py."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from delineate.plain_errors import plain_errors

__all__ = ["run_data_preprocessing"]


def run_data_preprocessing(arguments: Sequence[str] | None = None) -> None:
    """Prepare a raw data set; None takes the words of the command line. Exit 2: some failed."""
    asked = _parse(arguments)
    with plain_errors():
        from delineate.systems.liver.prepared_tree import prepare_tree
        from delineate.systems.liver.settings import PreprocessingConfig, read_settings
        from delineate.systems.liver.summary import SUMMARY

        settings = read_settings(
            PreprocessingConfig,
            asked.config,
            target_spacing=asked.target_spacing,
            target_size=asked.target_size,
            intensity_range=asked.intensity_range,
            normalize_method=asked.normalize_method,
            apply_augmentation=False if asked.no_augmentation else None,
        )
        out = Path(asked.output_dir)
        made = prepare_tree(
            Path(asked.dataset_path),
            asked.dataset_type,
            out,
            settings,
            phase=asked.phase,
            progress=_show,
        )
        print((out / SUMMARY).read_text(encoding="utf-8"))
        print(f"Preprocessed: {out}")
        if made.failures:
            raise SystemExit(2)


def _parse(arguments: Sequence[str] | None) -> Namespace:
    parser = ArgumentParser(
        description="Bring CT scans and their masks to one spacing and window, and split them.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    kinds = ("medical_decathlon", "jipmer", "lits")
    add("--dataset_path", required=True, metavar="DIR", help="the raw data set")
    add("--dataset_type", required=True, choices=kinds, help="how its folders are laid out")
    add("--output_dir", required=True, metavar="DIR", help="the preprocessed tree")
    add("--config", metavar="JSON", help="PreprocessingConfig; words of this line go over it")
    add("--phase", help="jipmer: arterial, portal or venous only")
    add("--target_spacing", type=float, nargs=3, metavar="MM", help="of the voxels")
    add("--target_size", type=int, nargs=3, metavar="VOXELS", help="of every volume")
    add("--intensity_range", type=float, nargs=2, metavar="HU", help="lowest and highest value")
    add("--normalize_method", choices=("zscore", "minmax", "robust"), help="how values near 0 come")
    add("--no_augmentation", action="store_true", help="let training samples stay as they are")
    return parser.parse_args(arguments)


def _show(items: Iterable[Any], total: int, what: str) -> Iterator[Any]:
    """A bar on stderr while the items come, where that is a terminal."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    yield from track(
        items,
        total=total,
        description=what,
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
