"""What a checkpoint says of new slices, and how well it does."""
