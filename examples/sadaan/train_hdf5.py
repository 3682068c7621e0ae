"""Train SADAAN: python train_hdf5.py with training.batch_size=8"""

from delineate.systems.sadaan.experiment import main

if __name__ == "__main__":
    main()
