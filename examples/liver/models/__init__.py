"""Networks, as documented."""
