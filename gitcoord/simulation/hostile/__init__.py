"""The hostile member, and what it must not gain."""
