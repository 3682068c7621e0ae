"""Make a preprocessed tree of raw scans: python run_data_preprocessing.py --help."""

from delineate.systems.liver.preprocessing_command import run_data_preprocessing

if __name__ == "__main__":
    run_data_preprocessing()
