"""SADAAN: segmentation that knows which structures a scan has, from HDF5 files."""
