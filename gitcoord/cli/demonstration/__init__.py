"""The scenes of `gitcoord demo`."""
