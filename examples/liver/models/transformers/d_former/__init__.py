"""D-Former, as documented."""
