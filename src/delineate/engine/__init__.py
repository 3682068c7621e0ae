"""The training loop, on Lightning: import from its files, so that only training waits for it."""
