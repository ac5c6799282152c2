"""A node's home on the disk: queue, keys, locks, small files."""
