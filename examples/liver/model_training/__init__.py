"""Module, trainer, loss, metrics, optimisers and callbacks, as documented."""
