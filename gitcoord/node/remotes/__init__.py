"""Other remotes than the shared one: a mirror for people, and the one to which the fleet moves."""
