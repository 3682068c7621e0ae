"""The command lines of run_training.py, run_prediction.py and run_evaluation.py."""

import sys
from argparse import ArgumentParser, BooleanOptionalAction
from collections.abc import Mapping, Sequence

from delineate.notes import showing_notes
from delineate.plain_errors import plain_errors

__all__ = ["run_evaluation", "run_prediction", "run_training"]


def run_training(arguments: Sequence[str] | None = None) -> None:
    """Train, then test the best weights; None takes the words of the command line."""
    parser = _parser("Train a network on a preprocessed tree, then test its best weights.")
    add = parser.add_argument
    add("--model_name", help="dformer3d, dformer2d, unet3d, or the import path of a network")
    add("--run_name", help="folder of the logs, below log_dir/project_name")
    add("--gpus", type=int, help="how many cards; 0 is the processor")
    add("--max_epochs", type=int, help="each training sample is seen once in each")
    add("--learning_rate", type=float)
    add("--resume_from_checkpoint", metavar="CKPT", help="goes on from there")
    add("--target_label", type=int, help="the only structure that is segmented")
    words = vars(parser.parse_args(arguments))
    with plain_errors(), showing_notes():
        from delineate.systems.liver.settings import ModelTrainingConfig, read_settings
        from delineate.systems.liver.training import train

        train(read_settings(ModelTrainingConfig, words.pop("config"), **words))


def run_prediction(arguments: Sequence[str] | None = None) -> None:
    """Predict a folder of scans; None takes the words of the command line."""
    parser = _parser("Predict a preprocessed folder, or one of raw scans.")
    add = parser.add_argument
    add("--checkpoint_path", metavar="CKPT", help="of a training")
    add("--input_dir", metavar="DIR", help="data_preprocessed/test, or raw .nii and .nii.gz files")
    add("--output_dir", metavar="DIR", help="of the masks, each on its scan's own grid")
    add("--batch_size", type=int, help="windows that go through the network together")
    add("--gpus", type=int, help="0 is the processor")
    add("--device", help="cuda, cuda:1, cpu or auto")
    add("--model_name", help="where the checkpoint does not say it")
    add("--target_label", type=int, help="the only structure that is segmented")
    add("--save_probabilities", action=BooleanOptionalAction, help="<id>_prob.nii.gz")
    add("--save_logits", action=BooleanOptionalAction, help="<id>_logits.nii.gz")
    words = vars(parser.parse_args(arguments))
    with plain_errors():
        from delineate.console import tracking
        from delineate.systems.liver.prediction import predict_folder
        from delineate.systems.liver.settings import ModelPredictionConfig, read_settings

        with tracking("predicting") as progress:
            config = read_settings(ModelPredictionConfig, words.pop("config"), **words)
            failures = predict_folder(config, progress)
        print(f"Predictions: {config.output_dir}")
    _leave_after(failures)


def run_evaluation(arguments: Sequence[str] | None = None) -> None:
    """Compare predictions with the truth; None takes the words of the command line."""
    parser = _parser("Compare predictions with the truth: liver, tumour, and both together.")
    add = parser.add_argument
    add("--pred_dir", metavar="DIR", help="of the predictions")
    add("--gt_dir", metavar="DIR", help="of the true masks, such as data_preprocessed/test")
    add("--csv_path", metavar="CSV", help="of the table, a row per subject")
    add("--save_csv", action=BooleanOptionalAction, help="whether the table is written")
    add("--print_summary", action=BooleanOptionalAction, help="whether the means are shown")
    add("--subject_ids", nargs="+", metavar="ID", help="only these")
    words = vars(parser.parse_args(arguments))
    with plain_errors(), showing_notes():
        from delineate.systems.liver.evaluation import evaluate, summarise, write_csv
        from delineate.systems.liver.settings import ModelEvaluationConfig, read_settings

        config = read_settings(ModelEvaluationConfig, words.pop("config"), **words)
        found = evaluate(config)
        if config.print_summary:
            print(summarise(found, config))
        if config.save_csv:
            write_csv(found, config.csv_path)
            print(f"Results: {config.csv_path}")
    _leave_after(found.failures)


def _parser(description: str) -> ArgumentParser:
    parser = ArgumentParser(description=description, allow_abbrev=False)
    parser.add_argument(
        "--config", metavar="JSON", help="any keys; what the command line says goes over it"
    )
    return parser


def _leave_after(failures: Mapping[str, str]) -> None:
    """What could not be done is named, and the exit code says so."""
    for name, message in failures.items():
        print(message if message.startswith(name) else f"{name}: {message}", file=sys.stderr)
    if failures:
        raise SystemExit(2)
