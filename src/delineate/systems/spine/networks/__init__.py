"""Networks by the names that an experiment gives them."""
