"""The chain of trained networks over a series."""
