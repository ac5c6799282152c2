"""The hostile member, and checks of what it must not gain."""
