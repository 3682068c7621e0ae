"""The keys of each of the four programs, as documented."""
