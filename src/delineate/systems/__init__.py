"""Documented programs on this engine: their names, keys, files and commands."""
