"""Liver and tumour: D-Former in a plain Lightning module, preprocessing, scores and commands."""
