"""What `gitcoord demo` plays."""
