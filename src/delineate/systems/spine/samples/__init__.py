"""Slices on their way through the steps to batches."""
