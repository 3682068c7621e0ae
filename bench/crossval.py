"""Cross-validate a recipe, and pair its cases with another tool's scores of the same cases.

    python bench/crossval.py DATA [--recipe R] [--budget 10min] [--folds 5] [--against CSV]
                             [--out DIR]

Trains the recipe on every fold (an hour and more; the same command goes on where it was stopped),
then prints the mean Dice with its interval. CSV has a line per case: `case`, then a column
`dice_<class>` per class, the name in lower case with underscores; other columns are not read. It
may lack cases: those that both have are compared.
"""

import argparse
import csv
import sys
from collections.abc import Sequence
from math import nan
from pathlib import Path

from delineate.errors import DelineateError
from delineate.metrics import Row, Table, compare

PREFIX = "dice_"


def read_scores(path: Path, classes: Sequence[str]) -> Table:
    """The Dice of these classes, one row per case and class; a blank is NaN.

    A class without a column, or an entry that is no number, ends the program.
    """
    columns = {name: PREFIX + name.lower().replace(" ", "_") for name in classes}
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        missing = [c for c in ("case", *columns.values()) if c not in (reader.fieldnames or ())]
        if missing:
            sys.exit(
                f"{path}: no column {', '.join(missing)}; "
                f"there are {', '.join(reader.fieldnames or ('none',))}."
            )
        rows = []
        for line in reader:
            for name, column in columns.items():
                where = f"{path}:{reader.line_num}: {column}"
                dice = _number(line[column], where)
                rows.append(Row(case=line["case"], label=name, values={"dice": dice}))
    return Table(tuple(rows))


def _number(text: str | None, where: str) -> float:
    if not text:
        return nan
    try:
        return float(text)
    except ValueError:
        sys.exit(f"{where} is '{text}', no number.")


def summary(table: Table, against: Table | None) -> str:
    """Mean Dice with its interval, each class, and the paired comparison where there is one."""
    low, high = table.interval("dice")
    classes = ", ".join(f"{name} {dice:.4f}" for name, dice in table.class_means("dice").items())
    lines = [
        f"mean Dice {table.mean('dice'):.4f} [{low:.4f}, {high:.4f}] "
        f"over {len(table.cases)} cases: {classes}"
    ]
    if against is not None:
        lines.append(f"against the other, case by case: {compare(table, against)}")
    return "\n".join(lines)


def cross_validated(asked: argparse.Namespace) -> Table:
    """The scores of every case; the folds lie in `asked.out`."""
    from delineate.config import load_config
    from delineate.console import showing_progress
    from delineate.crossval import cross_validate

    keys = {
        "data.root": asked.data,
        "data.folds": asked.folds,
        "train.budget": asked.budget,
        "run_dir": asked.out,
    }
    config = load_config(asked.recipe, [f"{key}={value}" for key, value in keys.items()])
    with showing_progress() as bars:
        return cross_validate(config, bars=bars)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--recipe", default="starter")
    parser.add_argument("--budget", default="10min", help="of training, each fold")
    parser.add_argument("--folds", default="5", help="how many, or nnunet for nnU-Net's own")
    parser.add_argument("--against", type=Path, metavar="CSV")
    parser.add_argument("--out", type=Path, default=Path("runs/bench_crossval"))
    asked = parser.parse_args()
    if asked.against and not asked.against.is_file():
        parser.error(f"--against: no file {asked.against}")  # before hours of training
    try:
        table = cross_validated(asked)
        against = read_scores(asked.against, table.labels) if asked.against else None
        print(summary(table, against))
    except DelineateError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
