"""The training loop, on Lightning; import what you need from its files, so that only training waits."""
