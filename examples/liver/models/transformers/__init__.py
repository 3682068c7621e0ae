"""Transformers, as documented."""
