"""Storage: git, the queue, a node's home, and the in-memory twin of the remote."""
