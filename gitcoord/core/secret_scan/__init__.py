"""The scan for text that looks like a secret."""
