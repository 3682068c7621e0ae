"""Train in four stages, or one of them, or evaluate: python sota_training_pipeline.py --help"""

from delineate.systems.stroke.commands import run_pipeline

if __name__ == "__main__":
    run_pipeline()
