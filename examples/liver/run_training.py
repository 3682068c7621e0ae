"""Train: python run_training.py --help."""

from delineate.systems.liver.commands import run_training

if __name__ == "__main__":
    run_training()
