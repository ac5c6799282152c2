"""What single commands do with a node."""
