"""Set evaluations side by side: python analysis.py --help."""

from delineate.systems.sadaan.evaluation_commands import run_analysis

if __name__ == "__main__":
    run_analysis()
