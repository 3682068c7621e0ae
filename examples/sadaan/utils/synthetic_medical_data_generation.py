"""Make a synthetic data set: python utils/synthetic_medical_data_generation.py --help."""

from delineate.systems.sadaan.synthetic import main

if __name__ == "__main__":
    main()
