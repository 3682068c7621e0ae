"""Configurations for the data and the machine."""
