"""Compare predictions with the truth: python run_evaluation.py --help."""

from delineate.systems.liver.commands import run_evaluation

if __name__ == "__main__":
    run_evaluation()
