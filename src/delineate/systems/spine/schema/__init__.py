"""Experiments as YAML files say them, and what each key may be."""
