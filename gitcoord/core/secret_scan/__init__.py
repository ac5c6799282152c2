"""Text that looks like a secret."""
