"""Train the full network without stages: python optimized_hybrid_training.py"""

from delineate.systems.stroke.commands import run_direct

if __name__ == "__main__":
    run_direct()
