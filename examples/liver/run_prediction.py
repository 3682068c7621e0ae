"""Predict: python run_prediction.py --help."""

from delineate.systems.liver.commands import run_prediction

if __name__ == "__main__":
    run_prediction()
