"""Where bytes live: git, the queue, the home of a node, and the in-memory twin of the remote."""
