"""Evaluate trained weights: python test.py --help."""

from delineate.systems.sadaan.evaluation_commands import run_test

if __name__ == "__main__":
    run_test()
