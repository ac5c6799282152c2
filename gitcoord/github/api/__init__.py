"""GitHub's API: asked, retried, limited, written to once."""
