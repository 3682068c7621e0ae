"""Losses, figures, callbacks and the training itself."""
