"""The document's package."""
