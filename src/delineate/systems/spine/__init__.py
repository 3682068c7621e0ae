"""Spinal cord lesions: ml_framework's YAML, commands and cascade, over 2-D slices."""
