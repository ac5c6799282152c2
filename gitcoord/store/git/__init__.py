"""The private git store and its remote."""
