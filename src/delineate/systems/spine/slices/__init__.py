"""Which slices there are, whose they are, and their pixels."""
