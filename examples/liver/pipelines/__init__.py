"""Data loading, as documented."""
