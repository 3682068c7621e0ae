"""The command lines of test.py and analysis.py."""

from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from delineate.plain_errors import plain_errors

__all__ = ["run_analysis", "run_test"]


def run_test(arguments: Sequence[str] | None = None) -> None:
    """Evaluate trained weights; None takes the words of the command line."""
    parser = ArgumentParser(
        description="Evaluate trained weights on one split of a data set.",
        formatter_class=ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("-w", "--weights", default="./checkpoints/best_model.pth", help="the .pth of a training")
    add("-d", "--dataset", default="./synthetic_medical_dataset_hdf5", help="folder of the data")
    add("-s", "--split", default="test", choices=("train", "val", "test"), help="what to evaluate")
    add("-o", "--output", default="./test_results", help="folder of the results")
    add("--device", default="auto", choices=("cuda", "cpu", "auto"), help="where it runs")
    add("--max-vis-samples", type=_count, default=20, help="how many samples are drawn")
    add("--presence-threshold", type=float, help="in place of that of the training")
    asked = parser.parse_args(arguments)
    with plain_errors():
        from delineate.systems.sadaan.evaluation import Evaluation, evaluate_checkpoint

        how = Evaluation(
            split=asked.split,
            device=asked.device,
            presence_threshold=asked.presence_threshold,
            max_vis_samples=asked.max_vis_samples,
        )
        evaluate_checkpoint(asked.weights, asked.dataset, asked.output, how)
        out = Path(asked.output)
        print((out / "evaluation_report.txt").read_text(encoding="utf-8"))
        print(f"Results: {out}")


def run_analysis(arguments: Sequence[str] | None = None) -> None:
    """Set evaluations side by side; None takes the words of the command line."""
    parser = ArgumentParser(description="Set the evaluations of several splits side by side.")
    for split in ("train", "val", "test"):
        parser.add_argument(f"--{split}", metavar="JSON", help=f"detailed_metrics.json of {split}")
    parser.add_argument(
        "-o", "--output", default="./analysis_results", help="folder of the results"
    )
    asked = parser.parse_args(arguments)
    files = {s: getattr(asked, s) for s in ("train", "val", "test") if getattr(asked, s)}
    with plain_errors():
        from delineate.systems.sadaan.analysis import analyse

        print(analyse(files, Path(asked.output)))
        print(f"Results: {asked.output}")


def _count(text: str) -> int:
    """A number of 0 or more; argparse tells a ValueError."""
    number = int(text)
    if number < 0:
        raise ValueError(text)
    return number
